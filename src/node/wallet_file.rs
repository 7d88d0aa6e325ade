//! The wallet's file: the wallet's text, kept in a private file by the storage layer.
//!
//! A file with keys is never lost here: before a new wallet takes its place it has a second, dated
//! name, so there is no moment without a wallet file. A new wallet is on disk, file and directory
//! flushed, before its key is known to anyone.

use crate::storage::StoreError;
use crate::storage::disk::DiskFile;
use crate::storage::files::PRIVATE_MODE;
use crate::wallet::{KeyError, Wallet, WalletFileError};
use std::path::PathBuf;

/// Why a wallet could not be loaded or created.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// The file cannot be read or written, or others may read it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file holds no wallet.
    #[error("{}: {why}", .file.display())]
    Content {
        /// The file in question.
        file: PathBuf,
        /// What is wrong with it.
        why: WalletFileError,
    },
    /// There is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl WalletError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Content { why, .. } => why.code(),
            Self::Key(error) => error.code(),
        }
    }
}

/// A wallet made by [`create`].
#[derive(Debug)]
pub struct Created {
    /// The new wallet, safe on disk.
    pub wallet: Wallet,
    /// Where the file of the wallet before it lies now, if there was one.
    pub kept: Option<PathBuf>,
}

/// Loads the wallet in `file`; `None` if there is no such file.
///
/// # Errors
/// A file that is no plain file, that others have any right to, or that holds no wallet.
pub fn load(file: &DiskFile) -> Result<Option<Wallet>, WalletError> {
    let Some(text) = file.read_private()? else { return Ok(None) };
    let file = file.path().to_path_buf();
    Wallet::parse(&text).map(Some).map_err(|why| WalletError::Content { file, why })
}

/// Creates a wallet and its `file`. Whatever lies in its place is kept under a name that carries the
/// time, `unix_seconds` (UTC).
///
/// # Errors
/// No randomness or a failing disk. The wallet before it is then still in its place.
pub fn create(file: &DiskFile, unix_seconds: u64) -> Result<Created, WalletError> {
    let wallet = Wallet::create()?;
    let kept = file.set_aside(unix_seconds)?;
    file.replace(wallet.to_text().as_bytes(), PRIVATE_MODE)?;
    Ok(Created { wallet, kept })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::files::{self, DataDir};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    /// 2026-11-22T16:40:03Z
    const NOW: u64 = 1_795_365_603;

    struct World {
        home: tempfile::TempDir,
        dir: DataDir,
    }

    impl World {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let dir = DataDir::open(home.path(), 5000).unwrap();
            Self { home, dir }
        }

        fn create(&self) -> Created {
            create(&self.file(), NOW).unwrap()
        }

        fn file(&self) -> DiskFile {
            self.dir.wallet().as_path().into()
        }

        fn load(&self) -> Result<Option<Wallet>, WalletError> {
            load(&self.file())
        }

        fn load_code(&self) -> &'static str {
            self.load().unwrap_err().code()
        }

        /// The names of all files, sorted.
        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.home.path()).unwrap();
            let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
            let mut names: Vec<_> = entries.map(|e| name(e).into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn a_created_wallet_is_loaded_from_a_private_file_with_the_two_keys() {
        let world = World::new();
        assert!(world.load().unwrap().is_none());
        let Created { wallet, kept } = world.create();
        assert_eq!(kept, None);
        assert_eq!(world.names(), ["wallet-5000.txt"]);

        let file = world.dir.wallet();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
        let expected = format!("{}\n{}\n", wallet.public_key(), *wallet.secret_hex());
        assert_eq!(fs::read_to_string(&file).unwrap(), expected);
        let loaded = world.load().unwrap().unwrap();
        assert_eq!(loaded.public_key(), wallet.public_key());
    }

    #[test]
    fn a_new_wallet_keeps_every_older_one_even_in_the_same_second() {
        let world = World::new();
        let mut texts = vec![world.create().wallet.to_text()];
        let mut kept = Vec::new();
        for _ in 0..3 {
            let created = world.create();
            texts.push(created.wallet.to_text());
            kept.push(created.kept.unwrap());
        }
        assert_eq!(world.names().len(), 4);
        kept.push(world.dir.wallet());
        for (file, text) in kept.iter().zip(texts) {
            assert_eq!(fs::read_to_string(file).unwrap(), *text);
            assert_eq!(fs::metadata(file).unwrap().mode() & 0o7777, 0o600);
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(name.starts_with("wallet-5000") && name.ends_with(".txt"), "{name}");
        }
        assert!(kept[0].to_str().unwrap().contains("2026-11-22"), "{kept:?}");
    }

    #[test]
    fn a_file_open_to_others_is_refused() {
        let world = World::new();
        world.create();
        for mode in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644, 0o666, 0o777] {
            fs::set_permissions(world.dir.wallet(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(world.load_code(), "file-exposed", "{mode:o}");
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(world.dir.wallet(), Permissions::from_mode(mode)).unwrap();
            assert!(world.load().unwrap().is_some(), "{mode:o}");
        }
    }

    #[test]
    fn links_and_directories_are_refused_and_never_followed() {
        let world = World::new();
        let target = world.home.path().join("elsewhere");
        world.create();
        fs::rename(world.dir.wallet(), &target).unwrap();
        let before = fs::read(&target).unwrap();
        symlink(&target, world.dir.wallet()).unwrap();
        assert_eq!(world.load_code(), "not-a-plain-file");

        let Created { wallet, kept } = world.create();
        assert!(kept.unwrap().is_symlink());
        assert_eq!(fs::read(&target).unwrap(), before);
        assert_eq!(world.load().unwrap().unwrap().public_key(), wallet.public_key());

        fs::remove_file(world.dir.wallet()).unwrap();
        fs::create_dir(world.dir.wallet()).unwrap();
        assert_eq!(world.load_code(), "not-a-plain-file");
    }

    #[test]
    fn a_damaged_file_is_named_without_its_key_and_kept_by_a_new_wallet() {
        let world = World::new();
        let secret = world.create().wallet.secret_hex();
        let damaged = format!("{}\n{}\n", "0".repeat(64), *secret);
        files::write_atomically(&world.dir.wallet(), damaged.as_bytes(), PRIVATE_MODE).unwrap();

        let error = world.load().unwrap_err();
        assert_eq!(error.code(), "wallet-file-keys-differ");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("wallet-5000.txt") && !shown.contains(secret.as_str()), "{shown}");

        let kept = world.create().kept.unwrap();
        assert_eq!(fs::read_to_string(kept).unwrap(), damaged);
    }

    #[test]
    fn when_the_new_file_cannot_be_written_the_old_wallet_stays() {
        let world = World::new();
        let old = world.create().wallet;
        // In the place of the temporary file, where even root cannot write a file.
        fs::create_dir(world.home.path().join("wallet-5000.new.txt")).unwrap();
        create(&world.file(), NOW).unwrap_err();
        let loaded = world.load().unwrap().unwrap();
        assert_eq!(loaded.public_key(), old.public_key());
    }
}
