//! A workspace for tests: an overlay that the kernel mounts, or a copy.

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{CollectLimits, CollectOptions, Collected, WorkspaceView, WriteSetError, collect};
use crate::baseline::sample::Bench;
use crate::baseline::{Baseline, beneath};
use crate::lacks::lacks;
use crate::tool::GitCall;

/// An overlay of a baseline, mounted for real, or a copy of it.
pub(crate) struct Desk<'a> {
    pub(super) bench: &'a Bench,
    pub(super) baseline: &'a Baseline,
    pub(crate) merged: PathBuf,
    pub(super) upper: Option<PathBuf>,
}

impl<'a> Desk<'a> {
    pub(super) fn copied(bench: &'a Bench, baseline: &'a Baseline) -> Self {
        let merged = bench.place("copy");
        for part in [baseline.files(), baseline.git_layer()] {
            copy(part, &merged);
        }
        Self {
            bench,
            baseline,
            merged,
            upper: None,
        }
    }

    /// Mounts an overlay, which only root can here.
    pub(crate) fn overlay(bench: &'a Bench, baseline: &'a Baseline) -> Option<Self> {
        if lacks("root", rustix::process::geteuid().is_root()) {
            return None;
        }
        let place = bench.place("overlay");
        for name in ["upper", "work", "merged"] {
            fs::create_dir(place.join(name)).unwrap();
        }
        let options = format!(
            "lowerdir={}:{},upperdir={},workdir={},userxattr",
            baseline.git_layer().display(),
            baseline.files().display(),
            place.join("upper").display(),
            place.join("work").display()
        );
        let options = std::ffi::CString::new(options).unwrap();
        let merged = place.join("merged");
        rustix::mount::mount(
            "overlay",
            &merged,
            "overlay",
            rustix::mount::MountFlags::empty(),
            Some(options.as_c_str()),
        )
        .unwrap();
        let upper = Some(place.join("upper"));
        Some(Self {
            bench,
            baseline,
            merged,
            upper,
        })
    }

    pub(super) fn collect_with(&self, scratch: &[&str], limits: CollectLimits) -> Result<Collected, WriteSetError> {
        let staging = self.bench.place("staging");
        let merged = beneath::open_directory(&self.merged).unwrap();
        let upper = self.upper.as_ref().map(|path| beneath::open_directory(path).unwrap());
        let view = WorkspaceView {
            merged: merged.as_fd(),
            upper: upper.as_ref().map(|fd| fd.as_fd()),
        };
        let scratch: Vec<String> = scratch.iter().map(|s| (*s).to_owned()).collect();
        let options = CollectOptions {
            scratch_paths: &scratch,
            masked: &[],
            limits,
            staging: &staging,
        };
        collect(&self.bench.git, self.baseline, view, &options)
    }

    pub(crate) fn collect(&self) -> Collected {
        self.collect_with(&[], CollectLimits::default()).unwrap()
    }

    /// The agent's own git, with everything it may do.
    pub(super) fn git(&self, words: &[&str]) -> Vec<u8> {
        let call = GitCall::new("-c").arg("user.name=x").args(words);
        self.bench
            .git
            .run(
                call.git_dir(&self.merged.join(".git"))
                    .work_tree(&self.merged)
                    .directory(&self.merged),
            )
            .unwrap()
    }
}

impl Drop for Desk<'_> {
    fn drop(&mut self) {
        if self.upper.is_some() {
            rustix::mount::unmount(&self.merged, rustix::mount::UnmountFlags::DETACH).unwrap();
        }
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&to).unwrap();
            copy(&from, &to);
        } else if entry.file_type().unwrap().is_symlink() {
            symlink(fs::read_link(&from).unwrap(), &to).unwrap();
        } else {
            fs::copy(&from, &to).unwrap();
            let times = fs::FileTimes::new().set_modified(entry.metadata().unwrap().modified().unwrap());
            fs::File::open(&to).unwrap().set_times(times).unwrap();
        }
    }
}
