//! A rig of a test's own (`tests/live/rig.sh`), so that what is done to it touches no other test; stopped with its value.

#![allow(dead_code, reason = "every test uses its own part of it")]

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{self, Command},
};

use tempfile::TempDir;

pub struct Own {
    folder: TempDir,
}

impl Own {
    /// `None`, with a notice, where `EKSCOPE_RIG_DIR` names no rig: no other can be built then either.
    pub fn start(options: &[&str]) -> Option<Self> {
        if env::var_os("EKSCOPE_RIG_DIR").is_none() {
            assert!(env::var_os("EKSCOPE_RIG_REQUIRED").is_none(), "EKSCOPE_RIG_DIR names no live rig");
            eprintln!("SKIPPED: EKSCOPE_RIG_DIR names no live rig (tests/live/rig.sh start)");
            return None;
        }
        let rig = Self { folder: tempfile::tempdir().expect("a folder") };
        let me = process::id().to_string();
        rig.control("start", &[&["--die-with", &me], options].concat());
        Some(rig)
    }

    /// A command of `rig.sh` on it, to its end.
    pub fn control(&self, command: &str, options: &[&str]) {
        let log = self.folder.path().join("control.log");
        // No pipe: the servers would hold it open.
        let file = File::create(&log).expect("a log");
        let mut rig = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/rig.sh"));
        rig.arg(command).arg(self.path()).args(options);
        let done = rig.stdout(file.try_clone().expect("a log")).stderr(file).status().expect("rig.sh runs");
        let said = fs::read_to_string(&log).unwrap_or_default();
        assert!(done.success(), "rig.sh {command} {options:?}: {said}");
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("rig")
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.path().join("kubeconfig")
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let mut rig = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/rig.sh"));
        let _ = rig.arg("stop").arg(self.path()).output();
    }
}
