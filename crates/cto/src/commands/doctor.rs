//! `cto doctor`: what this machine can enforce, and how to mend what it cannot.

use cto_runner::{cage_test, discover_toolchains, find_provider, probe_machine, ssh_keygen};
use cto_schema::ExitClass;
use serde_json::json;

use crate::cli::Global;
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};

pub(super) fn doctor(global: &Global, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open(global)?;
    let machine = probe_machine(&harness.reexec, &harness.home.work());
    let native = find_provider("native").map(|provider| {
        cage_test(
            provider,
            &harness.settings.sandbox,
            &harness.reexec,
            &harness.home.cache(),
            &harness.home.work(),
            &format!("doctor-{}", std::process::id()),
        )
    });
    let (home, path) = installation::home_and_path();
    let toolchains = discover_toolchains(home.as_deref(), &path.to_string_lossy());
    let git = harness.git.version();
    let cage_ok = native.as_ref().is_some_and(|test| test.passed);
    if output.json() {
        output.document(&json!({
            "kernel": machine.kernel,
            "uid": machine.uid,
            "landlock_abi": machine.landlock_abi,
            "abilities": machine.abilities.iter().map(|a| json!({
                "name": a.name, "ok": a.ok, "seen": a.seen, "mend": a.mend,
            })).collect::<Vec<_>>(),
            "cage": native,
            "git": git.as_ref().map(|(major, minor)| format!("{major}.{minor}")).ok(),
            "ssh_keygen": ssh_keygen().ok(),
            "toolchains": toolchains.iter().map(|t| json!({ "name": t.name, "root": t.root, "notes": t.notes })).collect::<Vec<_>>(),
        }));
        return Ok(Exit(if cage_ok { ExitClass::Pass } else { ExitClass::Fail }));
    }
    output.print(&format!(
        "kernel {}, uid {}, home {}\n\n",
        machine.kernel,
        machine.uid,
        harness.home.root().display()
    ));
    for ability in &machine.abilities {
        let mark = if ability.ok {
            output.paint("32", "✔")
        } else {
            output.paint("33", "▲")
        };
        output.print(&format!("{mark} {:<24} {}\n", ability.name, ability.seen));
        if !ability.ok && !ability.mend.is_empty() {
            output.print(&format!("  mend: {}\n", ability.mend));
        }
    }
    match &git {
        Ok((major, minor)) => output.print(&format!("{} {:<24} {major}.{minor}\n", output.paint("32", "✔"), "git")),
        Err(error) => output.print(&format!(
            "{} {:<24} {}\n",
            output.paint("31", "✘"),
            "git",
            crate::error::chain(error)
        )),
    }
    print_signer(output);
    if let Some(test) = &native {
        let (mark, word) = if test.passed {
            (
                output.paint("32", "✔"),
                format!("{} probes were refused as they must be", test.probes.len()),
            )
        } else {
            (output.paint("31", "✘"), test.detail.clone())
        };
        output.print(&format!("{mark} {:<24} {word}\n", "cage self-test"));
    }
    if !toolchains.is_empty() {
        output.print("\nToolchains that a sandbox does not see until you map them (--toolchain DIR, or toolchains: in harness.yaml):\n");
        for toolchain in &toolchains {
            let root = cto_schema::escape(toolchain.root.as_os_str().as_encoded_bytes(), 200);
            output.print(&format!("  {:<22} {root}\n", toolchain.name));
        }
        if let Some(toolchain) = toolchains.first() {
            output.print(&format!("\nFor example, in harness.yaml:\n{}", toolchain.enable()));
        }
    }
    Ok(Exit(if cage_ok { ExitClass::Pass } else { ExitClass::Fail }))
}

/// Approvals alone need the program that signs.
fn print_signer(output: &Output) {
    match ssh_keygen() {
        Ok(place) => output.print(&format!("{} {:<24} {place}\n", output.paint("32", "✔"), "ssh-keygen")),
        Err(_) => output.print(&format!(
            "{} {:<24} not found; approvals are signed with it\n  mend: install it (Debian: openssh-client)\n",
            output.paint("33", "▲"),
            "ssh-keygen"
        )),
    }
}
