//! Small files: whole or not there, never over another, never through a link, never readable by
//! others.

use std::os::unix::fs::symlink;

use super::*;

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_port_names_every_file_of_a_node() {
    let dir = tempfile::tempdir().unwrap();
    let files = DataDir::open(&dir.path().join("deep/data"), 5001).unwrap();
    assert_eq!(mode_of(&files.dir), 0o700);
    let paths = [
        (files.blockchain(), "blockchain-5001.txt"),
        (files.wallet(), "wallet-5001.txt"),
        (files.mempool(), "mempool-5001.txt"),
        (files.peers(), "peers-5001.txt"),
        (files.token(), "token-5001.txt"),
        (files.lock(), "lock-5001.txt"),
    ];
    for (path, name) in paths {
        assert_eq!(path, dir.path().join("deep/data").join(name));
    }
    assert_eq!(DataDir::open(&files.dir, 5001).unwrap(), files);
}

/// Set in the child process, whose umask is nobody else's: other tests run in this one.
const UMASK_CHILD: &str = "FARTHING_TEST_UMASK_CHILD";

#[test]
fn modes_hold_whatever_the_umask_is() {
    if std::env::var_os(UMASK_CHILD).is_none() {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "storage::files::tests::modes_hold_whatever_the_umask_is"])
            .env(UMASK_CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (n, umask) in [0o000, 0o022, 0o077, 0o277].into_iter().enumerate() {
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        let path = |what: &str| dir.path().join(format!("{what}-{n}.txt"));
        let written = write_atomically(&path("wallet"), b"secret", PRIVATE_MODE);
        let created = create_new_durably(&path("token"), b"secret", PRIVATE_MODE);
        let public = write_atomically(&path("peers"), b"[]", PUBLIC_MODE);
        let private_dir = DataDir::open(&dir.path().join(format!("dir-{n}")), 1);
        rustix::process::umask(before);
        written.and(created).and(public).unwrap();
        private_dir.unwrap();
        assert_eq!(mode_of(&path("wallet")), 0o600, "umask {umask:o}");
        assert_eq!(mode_of(&path("token")), 0o600, "umask {umask:o}");
        assert_eq!(mode_of(&path("peers")), 0o644, "umask {umask:o}");
        assert_eq!(mode_of(&dir.path().join(format!("dir-{n}"))) & 0o077, 0, "umask {umask:o}");
        assert_eq!(read_private(&path("wallet")).unwrap().unwrap().as_slice(), b"secret");
    }
}

#[test]
fn a_replacement_replaces_content_and_mode_and_leaves_nothing_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("peers-1.txt");
    fs::write(&path, "old").unwrap();
    // What a crash in the middle of an earlier attempt leaves is no obstacle.
    fs::write(dir.path().join("peers-1.new.txt"), "half").unwrap();
    write_atomically(&path, b"new", PRIVATE_MODE).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(mode_of(&path), 0o600);
    assert_eq!(names(dir.path()), ["peers-1.txt"]);
}

#[test]
fn a_failed_replacement_leaves_the_old_file_and_nothing_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("peers-1.txt");
    fs::write(&path, "old").unwrap();
    let mut half = |out: &mut dyn Write| {
        out.write_all(b"half")?;
        Err(Errno::NOSPC.into())
    };
    let error = replace_with(&path, PUBLIC_MODE, &mut half).unwrap_err();
    assert_eq!(error.code(), "disk-full");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(dir.path()), ["peers-1.txt"]);
    let nowhere = dir.path().join("missing/peers-1.txt");
    assert_eq!(write_atomically(&nowhere, b"x", 0o600).unwrap_err().code(), "storage-failed");
}

#[test]
fn creating_never_overwrites_not_even_a_dangling_link() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wallet-1.txt");
    create_new_durably(&path, b"first", PRIVATE_MODE).unwrap();
    assert_eq!(
        create_new_durably(&path, b"second", PRIVATE_MODE).unwrap_err().code(),
        "file-exists"
    );
    assert_eq!(fs::read(&path).unwrap(), b"first");
    let link = dir.path().join("wallet-2.txt");
    symlink(dir.path().join("elsewhere"), &link).unwrap();
    assert_eq!(
        create_new_durably(&link, b"second", PRIVATE_MODE).unwrap_err().code(),
        "file-exists"
    );
    assert_eq!(names(dir.path()), ["wallet-1.txt", "wallet-2.txt"]);
}

#[test]
fn of_many_creators_at_once_exactly_one_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wallet-1.txt");
    let wins: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|n| {
                let path = &path;
                scope.spawn(move || {
                    let text = format!("key {n}");
                    create_new_durably(path, text.as_bytes(), PRIVATE_MODE).map(|()| text)
                })
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap().ok()).collect()
    });
    assert_eq!(wins, [fs::read_to_string(&path).unwrap()]);
}

#[test]
fn a_link_in_place_of_a_file_is_replaced_and_never_written_through() {
    let dir = tempfile::tempdir().unwrap();
    let (target, path) = (dir.path().join("target"), dir.path().join("peers-1.txt"));
    fs::write(&target, "precious").unwrap();
    symlink(&target, &path).unwrap();
    symlink(&target, dir.path().join("peers-1.new.txt")).unwrap();
    write_atomically(&path, b"new", PRIVATE_MODE).unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
}

#[test]
fn secrets_are_read_only_from_plain_files_of_their_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wallet-1.txt");
    assert!(read_private(&path).unwrap().is_none());
    fs::write(&path, "secret").unwrap();
    for mode in 0..0o1000 {
        fs::set_permissions(&path, Permissions::from_mode(mode | 0o400)).unwrap();
        let read = read_private(&path);
        match mode & 0o077 {
            0 => assert_eq!(read.unwrap().unwrap().as_slice(), b"secret"),
            _ => assert_eq!(read.unwrap_err().code(), "file-exposed", "mode {mode:o}"),
        }
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let link = dir.path().join("wallet-2.txt");
    symlink(&path, &link).unwrap();
    assert_eq!(read_private(&link).unwrap_err().code(), "not-a-plain-file");
    assert_eq!(read_private(dir.path()).unwrap_err().code(), "not-a-plain-file");
    assert_eq!(read_private(Path::new("/dev/null")).unwrap_err().code(), "not-a-plain-file");
    let pipe = dir.path().join("wallet-3.txt");
    let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600));
    rustix::fs::mknodat(CWD, &pipe, fifo, mode, 0).unwrap();
    assert_eq!(read_private(&pipe).unwrap_err().code(), "not-a-plain-file");
}

#[test]
fn reading_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("peers-1.txt");
    let most = usize::try_from(PRIVATE_MAX).unwrap();
    for (len, fits) in [(0, true), (most, true), (most + 1, false)] {
        fs::remove_file(&path).ok();
        create_new_durably(&path, &vec![b'x'; len], PRIVATE_MODE).unwrap();
        let (private, small) = (read_private(&path), read_small(&path, PRIVATE_MAX));
        assert_eq!(
            private.as_ref().map(|read| read.as_ref().unwrap().len()).ok(),
            fits.then_some(len)
        );
        assert_eq!(small.map(|read| read.unwrap().len()).ok(), fits.then_some(len));
    }
    assert!(read_small(&dir.path().join("none"), 1).unwrap().is_none());
}

#[test]
fn an_old_file_is_set_aside_under_a_dated_name_and_never_over_another() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wallet-5000.txt");
    assert_eq!(set_aside(&path, 0).unwrap(), None);
    let expected = [
        "wallet-5000.2026-11-22-164711.txt",
        "wallet-5000.2026-11-22-164711-2.txt",
        "wallet-5000.2026-11-22-164711-3.txt",
    ];
    for (n, name) in expected.iter().enumerate() {
        write_atomically(&path, format!("key {n}").as_bytes(), PRIVATE_MODE).unwrap();
        assert_eq!(set_aside(&path, 1_795_366_031).unwrap(), Some(dir.path().join(name)));
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("key {n}"));
    }
    for (n, name) in expected.iter().enumerate() {
        let kept = dir.path().join(name);
        assert_eq!(fs::read_to_string(&kept).unwrap(), format!("key {n}"));
        assert_eq!(mode_of(&kept), 0o600);
    }
}

#[test]
fn dates_follow_the_civil_calendar() {
    let cases = [
        (0, "1970-01-01-000000"),
        (951_782_399, "2000-02-28-235959"),
        (951_782_400, "2000-02-29-000000"),
        (951_868_800, "2000-03-01-000000"),
        (1_795_366_031, "2026-11-22-164711"),
        (4_107_542_400, "2100-03-01-000000"),
        (4_294_967_295, "2106-02-07-062815"),
    ];
    for (unix_seconds, expected) in cases {
        assert_eq!(dated(unix_seconds), expected);
    }
}
