//! Where the user's files live, and the one way to replace a file.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use directories::ProjectDirs;

use crate::problem::Problem;

/// The folders of the program, after the habits of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dirs {
    /// The user's own files; only read. `EKSCOPE_CONFIG_DIR` overrides.
    pub config: PathBuf,
    /// What is remembered between runs, and the log. `EKSCOPE_STATE_DIR` overrides.
    pub state: PathBuf,
    /// What can be fetched again. `EKSCOPE_CACHE_DIR` overrides.
    pub cache: PathBuf,
}

impl Dirs {
    /// Finds the folders. Fails when the user has no home and a variable does not stand in for it.
    pub fn find(env: impl Fn(&str) -> Option<String>) -> Result<Self, Problem> {
        let project = ProjectDirs::from("", "", "ekscope");
        let folder = |variable: &str, own: fn(&ProjectDirs) -> &Path| {
            let given = env(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
            given.or_else(|| project.as_ref().map(|dirs| own(dirs).to_owned())).ok_or_else(|| {
                Problem::new("there is no home folder").hint(format!("set {variable} to a folder to use instead"))
            })
        };
        Ok(Self {
            config: folder("EKSCOPE_CONFIG_DIR", ProjectDirs::config_dir)?,
            // Only Linux has a place for state.
            state: folder("EKSCOPE_STATE_DIR", |dirs| dirs.state_dir().unwrap_or(dirs.data_local_dir()))?,
            cache: folder("EKSCOPE_CACHE_DIR", ProjectDirs::cache_dir)?,
        })
    }
}

/// Reading files, so that tests need none.
pub trait Files {
    /// The text of a file.
    fn read(&self, path: &Path) -> io::Result<String>;
    /// The files in a folder.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;
}

/// The real file system.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<String> {
        fs::read_to_string(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    }
}

/// Replaces a file whole or not at all: whoever reads it sees the old text or the new one. Only its owner may read it.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    // Two threads may write the same file.
    static WRITES: AtomicU32 = AtomicU32::new(0);
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.{}.tmp", std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed)));
    let temporary = folder.join(name);
    let written = private(fs::OpenOptions::new().write(true).create(true).truncate(true))
        .open(&temporary)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Lets nobody but the owner read a file that is created: names of clusters and namespaces are nobody else's business.
pub(super) fn private(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}
