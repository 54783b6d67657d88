//! The way from a report to the bundles, as a relative reference of a URL.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

/// Returns the reference from one directory to another; both are absolute and without links. It always begins with a
/// dot, so that no name in it can be taken for the scheme of a URL.
pub fn runs_reference(from: &Path, to: &Path) -> String {
    let parts = |path: &Path| -> Vec<Vec<u8>> {
        let named = path.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name.as_bytes().to_vec()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
        });
        named.collect()
    };
    let (from, to) = (parts(from), parts(to));
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let mut reference = if common == from.len() {
        ".".to_owned()
    } else {
        vec![".."; from.len() - common].join("/")
    };
    for name in &to[common..] {
        reference.push('/');
        name.iter().for_each(|byte| push(&mut reference, *byte));
    }
    reference
}

/// Everything but unreserved characters is encoded (RFC 3986, section 2.3).
fn push(reference: &mut String, byte: u8) {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        reference.push(char::from(byte));
    } else {
        // Writing to a String cannot fail.
        write!(reference, "%{byte:02X}").unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_from_any_directory_to_any_other() {
        for (from, to, reference) in [
            ("/h/matrix-reports/x", "/h/runs", "../../runs"),
            ("/out", "/h/runs", "../h/runs"),
            ("/h", "/h/runs", "./runs"),
            ("/h/runs", "/h/runs", "."),
            ("/a b", "/javascript:x/ü", "../javascript%3Ax/%C3%BC"),
            ("/", "/x:y", "./x%3Ay"),
        ] {
            assert_eq!(runs_reference(Path::new(from), Path::new(to)), reference, "{from} {to}");
        }
    }
}
