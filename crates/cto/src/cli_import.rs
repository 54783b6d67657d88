//! The command line of imports.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(
    long_about = "Take in a run of another installation: a directory or a .tar.zst made by cto export.\n\n\
It is unpacked beside, verified wholly against a key that this installation trusts, and only then placed in imported/ and \
listed in the ledger. What an operator said (FILE.outcome/) comes along. cto runs, show, verify and export know an imported \
run and say whence it is; it never counts for this installation's ladder, approvals or newest run.\n\n\
Refused: what is unsigned, signed by a key that is not trusted here, does not verify, was made by another major version, is \
dated in the future (more than 300 seconds), or has a run id that another bundle has here.",
    after_help = "Examples:\n  cto key trust their.pem --name build-host      # once, after comparing the key with its owner\n  \
cto import 20261120t103101z-r1-string-slugify-ib5cvr6ubc.tar.zst\n  \
cto import RUN.tar.zst --trusted-key build-host\n\n\
Exits with 0 when it is here (also when it was before), 5 when its evidence does not hold, 3 when it is refused otherwise."
)]
pub(crate) struct ImportArgs {
    /// The bundle: a run's directory, or a .tar.zst.
    pub(crate) bundle: PathBuf,
    /// Only this trusted key may have signed it: its id, the beginning of it, or its name [default: any trusted key].
    #[arg(long, value_name = "KEY")]
    pub(crate) trusted_key: Option<String>,
}
