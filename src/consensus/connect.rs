//! The rules that need the parent: headers against the headers before them, and blocks against
//! the accounts after their parent.

use super::check::CheckedBlock;
use super::difficulty::Solved;
use super::params::ChainParams;
use crate::primitives::pow::CompactTarget;
use crate::primitives::{
    Account, Amount, Block, BlockHash, Header, Height, PublicKey, StateRoots, Target, UnixTime,
    Work,
};
use std::collections::BTreeMap;

/// What the rules of a header need of the headers before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParentFacts {
    /// The parent's height.
    pub height: Height,
    /// The parent's time.
    pub time: UnixTime,
    /// The parent's bits.
    pub bits: CompactTarget,
    /// The grandparent's time; `None` if the parent is genesis.
    pub grandparent_time: Option<UnixTime>,
}

impl ParentFacts {
    /// What the rules need for the header after `child`, which stands on this parent.
    pub fn child(&self, child: &Header) -> Self {
        Self {
            height: self.height.next(),
            time: child.time,
            bits: child.bits,
            grandparent_time: Some(self.time),
        }
    }
}

/// Which rule a header breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Stamped before its parent.
    #[error("expected a time of at least the parent's {parent}, got {got}")]
    TimeBeforeParent {
        /// The parent's time.
        parent: UnixTime,
        /// The header's time.
        got: UnixTime,
    },
    /// Stamped too far ahead of our clock; it may be right later, and nobody is to blame.
    #[error("the block is from the future: stamped {got}, allowed from {latest} on")]
    FromTheFuture {
        /// The latest time allowed now.
        latest: UnixTime,
        /// The header's time.
        got: UnixTime,
    },
    /// Not the bits that the retarget rule gives.
    #[error("expected bits {expected:?}, got {got:?}")]
    WrongBits {
        /// What the rule gives.
        expected: CompactTarget,
        /// The header's bits.
        got: CompactTarget,
    },
    /// The hash is above the target.
    #[error("block {hash} has no proof of work: expected a hash of at most {target:?}")]
    NoProofOfWork {
        /// The block.
        hash: BlockHash,
        /// The target, relief included.
        target: Target,
    },
    /// No header can stand above the last representable height.
    #[error("the chain has reached its last height")]
    NoHeightLeft,
}

impl HeaderError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TimeBeforeParent { .. } => "time-before-parent",
            Self::FromTheFuture { .. } => "block-from-the-future",
            Self::WrongBits { .. } => "wrong-bits",
            Self::NoProofOfWork { .. } => "no-proof-of-work",
            Self::NoHeightLeft => "no-height-left",
        }
    }
}

/// The bits of the block after `parent`.
pub fn next_bits(params: &ChainParams, parent: &ParentFacts) -> CompactTarget {
    let spacing = params.schedule.spacing(parent.height);
    let Some(grandparent_time) = parent.grandparent_time else {
        return params.easiest_bits();
    };
    let solve_time = u32::try_from(parent.time.seconds_since(grandparent_time)).unwrap_or(0);
    let target = parent.bits.to_target().unwrap_or(params.retarget.easiest);
    let next_spacing = params.schedule.spacing(parent.height.next());
    params.retarget.next_target(Solved { target, solve_time, spacing }, next_spacing)
}

/// What the hash of the block after `parent` must not exceed if it is stamped `time`: the target
/// of its bits, made easier by the relief if it is very late.
pub fn proof_target(params: &ChainParams, parent: &ParentFacts, time: UnixTime) -> Target {
    let target =
        next_bits(params, parent).to_target().expect("the retarget rule gives canonical bits");
    let spacing = params.schedule.spacing(parent.height.next());
    let solve_time = u32::try_from(time.seconds_since(parent.time)).unwrap_or(0);
    params.retarget.proof_target(target, spacing, solve_time)
}

/// Judges a header against the headers before it; returns the work it adds.
///
/// # Errors
/// The first rule that it breaks. [`HeaderError::FromTheFuture`] is a matter of our clock only.
pub fn check_header(
    params: &ChainParams,
    header: &Header,
    parent: &ParentFacts,
    now: UnixTime,
) -> Result<Work, HeaderError> {
    let height = parent.height.next();
    if height == parent.height {
        return Err(HeaderError::NoHeightLeft);
    }
    if header.time < parent.time {
        return Err(HeaderError::TimeBeforeParent { parent: parent.time, got: header.time });
    }
    let (expected, got) = (next_bits(params, parent), header.bits);
    if got != expected {
        return Err(HeaderError::WrongBits { expected, got });
    }
    let (hash, target) = (header.hash(), proof_target(params, parent, header.time));
    if !target.is_met_by(&hash) {
        return Err(HeaderError::NoProofOfWork { hash, target });
    }
    // Last, so that only a header with proof of work is ever set aside for later.
    let latest = params.latest_time(height, now);
    if header.time > latest {
        return Err(HeaderError::FromTheFuture { latest, got: header.time });
    }
    Ok(target.work())
}

/// Which rule a block breaks, given the state after its parent. The header commits to all of it,
/// so a block that breaks one is invalid for ever.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The coinbase is for another height.
    #[error("expected a coinbase for height {expected}, got {got}")]
    WrongHeight {
        /// The block's height.
        expected: Height,
        /// What the coinbase says.
        got: Height,
    },
    /// The roots are not those of the state after the parent.
    #[error("expected account root {} and history root {}, got {} and {}",
        expected.accounts, expected.history, got.accounts, got.history)]
    WrongRoots {
        /// The state's roots.
        expected: Box<StateRoots>,
        /// The block's roots.
        got: Box<StateRoots>,
    },
    /// A transfer whose time is over.
    #[error("transfer {index} of the block has expired")]
    Expired {
        /// Its place behind the coinbase, from 1.
        index: usize,
    },
    /// A transfer out of its sender's order.
    #[error("expected nonce {expected} in transfer {index} of the block, got {got}")]
    WrongNonce {
        /// Its place behind the coinbase, from 1.
        index: usize,
        /// The sender's next nonce.
        expected: u64,
        /// The transfer's nonce.
        got: u64,
    },
    /// A sender spends more than the account held after the parent block.
    #[error(
        "expected {sender} to spend at most {balance}, transfer {index} of the block exceeds it"
    )]
    Overspent {
        /// The transfer's place behind the coinbase, from 1.
        index: usize,
        /// Who spends.
        sender: PublicKey,
        /// The balance after the parent.
        balance: Amount,
    },
    /// The coinbase does not pay subsidy and fees exactly.
    #[error("expected a coinbase of {expected}, got {got}")]
    WrongReward {
        /// Subsidy and fees.
        expected: Amount,
        /// What the coinbase pays.
        got: Amount,
    },
    /// Sums that cannot be: no chain within its supply reaches them.
    #[error("amounts in the block overflow")]
    Overflow,
}

impl ConnectError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::WrongHeight { .. } => "wrong-height",
            Self::WrongRoots { .. } => "wrong-roots",
            Self::Expired { .. } => "transfer-expired",
            Self::WrongNonce { .. } => "wrong-nonce",
            Self::Overspent { .. } => "overspent",
            Self::WrongReward { .. } => "wrong-reward",
            Self::Overflow => "amount-overflow",
        }
    }
}

/// The accounts that a block changes, each as it is afterwards; `None` where it no longer exists.
pub type AccountChanges = BTreeMap<PublicKey, Option<Account>>;

/// The state that a block is judged against: after its parent.
pub struct ParentState<'a> {
    /// The block's height.
    pub height: Height,
    /// The roots that the block must commit to.
    pub roots: StateRoots,
    /// Looks an account up.
    pub account: &'a dyn Fn(&PublicKey) -> Option<Account>,
}

/// Executes a block: every debit against the balances after the parent, then every credit, the
/// coinbase last.
///
/// # Errors
/// The first rule that the block breaks.
pub fn connect_block(
    params: &ChainParams,
    block: &CheckedBlock,
    parent: &ParentState<'_>,
) -> Result<AccountChanges, ConnectError> {
    execute(params, block.block(), parent)
}

/// Executes a block that has no proof of work yet, as [`connect_block`] will: before it is mined.
///
/// # Errors
/// The first rule that the block would break.
pub fn rehearse_block(
    params: &ChainParams,
    block: &Block,
    parent: &ParentState<'_>,
) -> Result<(), ConnectError> {
    execute(params, block, parent).map(drop)
}

fn execute(
    params: &ChainParams,
    block: &Block,
    parent: &ParentState<'_>,
) -> Result<AccountChanges, ConnectError> {
    check_place(block, parent)?;
    let mut accounts = Accounts::new(parent.account);
    let fees = debit_senders(block, parent.height, &mut accounts)?;
    let subsidy = params.schedule.subsidy(parent.height);
    let expected = subsidy.checked_add(fees).ok_or(ConnectError::Overflow)?;
    let got = block.coinbase.amount;
    if got != expected {
        return Err(ConnectError::WrongReward { expected, got });
    }
    for (recipient, amount) in credits(block) {
        accounts.change(recipient, |account| {
            account.balance = account.balance.checked_add(amount)?;
            Some(())
        })?;
    }
    Ok(accounts.changes())
}

/// Undoes a block that [`connect_block`] executed: the same sums backwards. Nothing has to be
/// kept for it, because an account that holds nothing and never sent anything does not exist.
///
/// # Errors
/// [`ConnectError::Overflow`] if `account` does not give the state after this very block.
pub fn disconnect_block(
    block: &Block,
    account: &dyn Fn(&PublicKey) -> Option<Account>,
) -> Result<AccountChanges, ConnectError> {
    let mut accounts = Accounts::new(account);
    for (recipient, amount) in credits(block) {
        accounts.change(recipient, |account| {
            account.balance = account.balance.checked_sub(amount)?;
            Some(())
        })?;
    }
    for transfer in &block.transfers {
        let cost = transfer.cost().ok_or(ConnectError::Overflow)?;
        accounts.change(transfer.sender, |account| {
            account.balance = account.balance.checked_add(cost)?;
            account.nonce = account.nonce.checked_sub(1)?;
            Some(())
        })?;
    }
    Ok(accounts.changes())
}

fn check_place(block: &Block, parent: &ParentState<'_>) -> Result<(), ConnectError> {
    let (expected, got) = (parent.height, block.coinbase.height);
    if got != expected {
        return Err(ConnectError::WrongHeight { expected, got });
    }
    if block.roots != parent.roots {
        return Err(ConnectError::WrongRoots {
            expected: Box::new(parent.roots),
            got: Box::new(block.roots),
        });
    }
    Ok(())
}

fn debit_senders(
    block: &Block,
    height: Height,
    accounts: &mut Accounts<'_>,
) -> Result<Amount, ConnectError> {
    let mut fees = Amount::ZERO;
    for (index, transfer) in (1..).zip(&block.transfers) {
        if !transfer.expiry.allows(height) {
            return Err(ConnectError::Expired { index });
        }
        let sender = transfer.sender;
        let account = accounts.get(sender);
        let (expected, got) = (account.nonce, transfer.nonce);
        if got != expected {
            return Err(ConnectError::WrongNonce { index, expected, got });
        }
        let cost = transfer.cost().ok_or(ConnectError::Overflow)?;
        let Some(balance) = account.balance.checked_sub(cost) else {
            let balance = accounts.before(sender).balance;
            return Err(ConnectError::Overspent { index, sender, balance });
        };
        let nonce = account.nonce.checked_add(1).ok_or(ConnectError::Overflow)?;
        accounts.set(sender, Account { balance, nonce });
        fees = fees.checked_add(transfer.fee).ok_or(ConnectError::Overflow)?;
    }
    Ok(fees)
}

/// Who is paid what, the coinbase last; a coinbase of nothing pays nobody.
fn credits(block: &Block) -> impl Iterator<Item = (PublicKey, Amount)> {
    let transfers = block.transfers.iter().map(|transfer| (transfer.recipient, transfer.amount));
    let coinbase = (block.coinbase.recipient, block.coinbase.amount);
    transfers.chain(Some(coinbase).filter(|(_, amount)| *amount > Amount::ZERO))
}

/// The accounts touched so far, over the state before.
struct Accounts<'a> {
    before: &'a dyn Fn(&PublicKey) -> Option<Account>,
    touched: BTreeMap<PublicKey, Account>,
}

impl<'a> Accounts<'a> {
    fn new(before: &'a dyn Fn(&PublicKey) -> Option<Account>) -> Self {
        Self { before, touched: BTreeMap::new() }
    }

    fn before(&self, key: PublicKey) -> Account {
        (self.before)(&key).unwrap_or_default()
    }

    fn get(&self, key: PublicKey) -> Account {
        self.touched.get(&key).copied().unwrap_or_else(|| self.before(key))
    }

    fn set(&mut self, key: PublicKey, account: Account) {
        self.touched.insert(key, account);
    }

    fn change(
        &mut self,
        key: PublicKey,
        change: impl FnOnce(&mut Account) -> Option<()>,
    ) -> Result<(), ConnectError> {
        let mut account = self.get(key);
        change(&mut account).ok_or(ConnectError::Overflow)?;
        self.set(key, account);
        Ok(())
    }

    fn changes(self) -> AccountChanges {
        self.touched.into_iter().map(|(key, account)| (key, account.existing())).collect()
    }
}
