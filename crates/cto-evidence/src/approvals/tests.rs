//! Signatures, and approvals on disk.

use cto_schema::{APPROVAL_NAMESPACE, MutationMode, RiskClass, SchemaId, parse_contract};
use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, LineEnding, PrivateKey};

use super::*;

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

fn sign(key: &PrivateKey, namespace: &str, bytes: &[u8]) -> String {
    key.sign(namespace, HashAlg::Sha512, bytes)
        .unwrap()
        .to_pem(LineEnding::LF)
        .unwrap()
}

fn signers(principal: &str, key: &PrivateKey) -> AllowedSigners {
    let public = key.public_key().to_openssh().unwrap();
    AllowedSigners::read(&format!("{principal} namespaces=\"{APPROVAL_NAMESPACE}\" {public}")).unwrap()
}

#[test]
fn what_a_dead_process_left_is_swept_and_nothing_of_a_live_one() {
    let place = tempfile::tempdir().unwrap();
    let home = Home::open(&place.path().join("home")).unwrap();
    let store = ApprovalStore::open(&home);
    let id = ApprovalStore::fresh_id().unwrap();
    let dir = store.add(&packet(&id)).unwrap();
    // No system gives a process this number.
    let dead = 4_194_305;
    let (dead, live) = (
        dir.join(format!(".tmp-{dead}-0")),
        dir.join(format!(".tmp-{}-0", std::process::id())),
    );
    for file in [&dead, &live] {
        std::fs::File::create(file).unwrap();
    }
    assert_eq!(store.sweep().unwrap(), 1);
    assert!(!dead.exists() && live.exists());
    assert!(store.read(&id).is_ok());
}

#[test]
fn a_signature_counts_only_over_its_bytes_in_its_namespace_and_from_its_actor() {
    let (own, other) = (key(1), key(2));
    let armored = sign(&own, APPROVAL_NAMESPACE, b"statement");
    let checked = check_signature(b"statement", &armored).unwrap();
    let allowed = signers("anna@x", &own);
    assert_eq!(checked.belongs_to("anna@x", &allowed, 0), Ok(()));
    assert!(
        checked
            .belongs_to("bert@x", &allowed, 0)
            .unwrap_err()
            .contains("not to bert@x")
    );
    let foreign = signers("anna@x", &other);
    assert!(
        checked
            .belongs_to("anna@x", &foreign, 0)
            .unwrap_err()
            .contains("not among")
    );
    assert!(
        check_signature(b"statement.", &armored)
            .unwrap_err()
            .contains("these bytes")
    );
    let git = sign(&own, "git", b"statement");
    assert!(
        check_signature(b"statement", &git)
            .unwrap_err()
            .contains("made for 'git'")
    );
    for rubbish in ["", "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"] {
        assert!(check_signature(b"statement", rubbish).is_err());
    }
}

#[test]
fn no_byte_of_a_signature_can_be_changed() {
    let armored = sign(&key(1), APPROVAL_NAMESPACE, b"statement");
    let lines: Vec<&str> = armored.lines().collect();
    let body: String = lines[1..lines.len() - 1].concat();
    let bytes = data_encoding::BASE64.decode(body.as_bytes()).unwrap();
    for at in 0..bytes.len() {
        let mut forged = bytes.clone();
        forged[at] ^= 1;
        let text = data_encoding::BASE64.encode(&forged);
        let folded: Vec<&str> = text
            .as_bytes()
            .chunks(70)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        let pem = format!("{}\n{}\n{}\n", lines[0], folded.join("\n"), lines[lines.len() - 1]);
        let allowed = signers("anna@x", &key(1));
        let counts = check_signature(b"statement", &pem).and_then(|c| c.belongs_to("anna@x", &allowed, 0));
        assert!(counts.is_err(), "byte {at}");
    }
}

pub(crate) fn packet(packet_id: &str) -> ApprovalPacket {
    let contract = parse_contract(
        b"{task_id: T, title: t, brief: b, allowed_paths: [a], forbidden_actions: [push], \
          mutation_mode: copied-fixture, success_criteria: [s], verification_commands: [[x]]}",
    )
    .unwrap();
    ApprovalPacket {
        schema: SchemaId::APPROVAL_PACKET.to_string(),
        packet_id: packet_id.to_owned(),
        installation_id: "i".to_owned(),
        created_at: "2026-11-20T10:00:00Z".parse().unwrap(),
        expires_at: "2026-11-21T10:00:00Z".parse().unwrap(),
        sentence: "I approve T.".to_owned(),
        contract_digest: contract.digest(),
        contract,
        engine: "fake".to_owned(),
        engine_command: vec![],
        stage: 2,
        mutation_mode: MutationMode::CopiedFixture,
        allowed_mutation_scope: String::new(),
        execution_scope: cto_schema::EXECUTION_SCOPE.to_owned(),
        risk_class: RiskClass::Low,
        repository_owner: None,
        admission_source: None,
        target_state: None,
        forbidden_paths: vec![],
        forbidden_actions: vec![],
        prior_evidence: vec![],
        required_evidence: vec![],
        rollback_expectation: String::new(),
        run_command: String::new(),
        bound: cto_schema::BoundValues::new(),
        approval_required: true,
        approval_granted: false,
        execution_allowed: false,
        executable: false,
    }
}

fn home() -> (tempfile::TempDir, Home) {
    let place = tempfile::tempdir().unwrap();
    let home = Home::open(&place.path().join("home")).unwrap();
    (place, home)
}

#[test]
fn a_packet_is_read_back_as_it_was_written_and_the_first_word_stays() {
    let (_place, home) = home();
    let store = ApprovalStore::open(&home);
    let id = ApprovalStore::fresh_id().unwrap();
    let packet = packet(&id);
    store.add(&packet).unwrap();
    assert!(store.add(&packet).is_err(), "a name is used once");
    let read = store.read(&id).unwrap();
    assert_eq!((read.packet_digest, &read.packet), (packet.digest(), &packet));
    assert_eq!((read.decision, read.consumed), (None, None));
    let say = |text: &str| {
        store.decide(
            &id,
            &SignedStatement {
                statement: text.to_owned(),
                signature: String::new(),
            },
        )
    };
    say("yes").unwrap();
    assert!(matches!(say("no"), Err(ApprovalError::Decided { .. })));
    assert_eq!(store.read(&id).unwrap().decision.unwrap().statement, "yes");
    assert_eq!(store.list().unwrap(), [id]);
}

#[test]
fn of_many_runs_that_race_exactly_one_consumes_an_approval() {
    let (_place, home) = home();
    let store = ApprovalStore::open(&home);
    for _ in 0..50 {
        let id = ApprovalStore::fresh_id().unwrap();
        store.add(&packet(&id)).unwrap();
        let wins: usize = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..4)
                .map(|run| {
                    let (home, id) = (&home, &id);
                    scope.spawn(move || {
                        let run_id: RunId = format!("run-{run}").parse().unwrap();
                        match ApprovalStore::open(home).consume(id, &run_id) {
                            Ok(_) => 1,
                            Err(ApprovalError::Consumed { .. }) => 0,
                            Err(other) => panic!("{other}"),
                        }
                    })
                })
                .collect();
            tries.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(wins, 1);
        assert!(store.read(&id).unwrap().consumed.is_some());
    }
}

#[test]
fn damaged_renamed_and_foreign_packets_are_not_read() {
    let (_place, home) = home();
    let store = ApprovalStore::open(&home);
    let id = ApprovalStore::fresh_id().unwrap();
    store.add(&packet(&id)).unwrap();
    for name in [
        "",
        "..",
        "ap-",
        "../ap-aaaaaaaaaaaaaaaa",
        "ap-AAAAAAAAAAAAAAAA",
        "ap-aaaaaaaaaaaaaaaa",
    ] {
        assert!(matches!(store.read(name), Err(ApprovalError::Missing { .. })), "{name}");
    }
    let other = ApprovalStore::fresh_id().unwrap();
    std::fs::rename(home.approvals().join(&id), home.approvals().join(&other)).unwrap();
    assert!(matches!(store.read(&other), Err(ApprovalError::Damaged { .. })));
    std::fs::rename(home.approvals().join(&other), home.approvals().join(&id)).unwrap();
    let path = home.approvals().join(&id).join(PACKET);
    let whole = std::fs::read(&path).unwrap();
    let at = whole.windows(4).position(|w| w == b"[\"a\"").unwrap() + 2;
    let mut wider = whole.clone();
    wider[at] = b'*';
    crate::durable::write_replacing(
        crate::durable::open_dir(path.parent().unwrap()).unwrap(),
        PACKET,
        &wider,
    )
    .unwrap();
    let error = store.read(&id).unwrap_err().to_string();
    assert!(error.contains("its contract is not the one that it names"), "{error}");
    for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
        crate::durable::write_replacing(
            crate::durable::open_dir(path.parent().unwrap()).unwrap(),
            PACKET,
            &whole[..cut],
        )
        .unwrap();
        assert!(matches!(store.read(&id), Err(ApprovalError::Damaged { .. })), "{cut}");
    }
}
