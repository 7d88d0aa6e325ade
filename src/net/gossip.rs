//! What peers tell of others: lists that are asked for and given, and calls that the book causes.

use super::answer::{self, Answer, AskError};
use super::book::{Book, Source};
use super::exchange::Met;
use super::table::{Outcome, Target, Times};
use super::{Network, lock, lock_now, relay};
use crate::node::NodeHandle;
use crate::node::ports::PeerError;
use crate::primitives::{PeerAddress, PeerId, Work};
use std::net::IpAddr;
use std::sync::MutexGuard;

impl Network {
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    /// As [`lock_now`].
    pub(super) fn book_now(&self, node: &NodeHandle) -> (MutexGuard<'_, Book>, Times) {
        lock_now(&self.book, node)
    }

    /// Addresses for a node that asks from `client`.
    pub(super) fn known_addresses(&self, client: IpAddr) -> Vec<PeerAddress> {
        let Some(node) = self.node() else { return Vec::new() };
        let (mut book, times) = self.book_now(&node);
        book.sample(client, times.unix)
    }

    /// A peer has given its list.
    pub(super) fn addresses_came(&self, target: &Target, answer: Answer) -> Outcome {
        match (answer::addresses(answer), target.id.address()) {
            (Ok(list), Some(peer)) => {
                let source = Source::at(peer);
                let is_looked_for =
                    self.table().find(&target.id).is_some_and(|peer| !peer.has_come());
                let source = if is_looked_for { source } else { source.that_came() };
                self.book().hear(&list, &source);
                Outcome::Done
            }
            // Whoever has no list to give is a peer all the same.
            (Ok(_), None) | (Err(AskError::Refused { .. } | AskError::Shape(_)), _) => {
                Outcome::Done
            }
            (Err(error), _) => relay::failed(&error),
        }
    }

    /// The book had a node called; it becomes a peer if it is one of our chain and no other spelling
    /// of one that is in the list.
    pub(super) fn dialled(&self, address: &PeerAddress, told: Work, answer: Answer) {
        let id = PeerId::from(address.clone());
        let met = self.met(&id, answer);
        let Some(node) = self.node() else { return };
        let theirs = met.as_ref().ok();
        let twin = theirs.and_then(|theirs| self.spelled_otherwise(address, theirs.instance));
        let standing = self.book().standing(address);
        let newcomer = theirs.filter(|_| twin.is_none()).map(|theirs| (theirs, standing));
        let is_new = {
            let (mut table, times) = self.table_now(&node);
            table.dialled(address, newcomer, times)
        };
        if let Some(twin) = twin {
            self.table().add_alias(&twin, address.clone());
        }
        match met {
            Ok(theirs) => {
                let (mut book, times) = self.book_now(&node);
                book.answered(address, times);
                drop(book);
                self.compare(&node, &id, (&theirs, told));
            }
            Err(Met::Refused(PeerError::Myself(_))) => self.book().forget(address),
            Err(Met::Refused(_) | Met::Failed(_)) => {
                let (mut book, times) = self.book_now(&node);
                book.failed(address, times.unix);
            }
            Err(Met::Busy) => {}
        }
        if is_new {
            log::info!("{address} is now a peer: others know it");
            self.save();
        }
    }
}
