//! Signing a statement as a DSSE envelope.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cto_schema::{Envelope, EnvelopeSignature, PAYLOAD_TYPE, pre_authentication_encoding};

use crate::keys::Signer;

impl Signer {
    /// Returns the envelope of an in-toto statement's bytes, with one signature.
    pub fn envelope(&self, statement: &[u8]) -> Envelope {
        let signature = self.sign(&pre_authentication_encoding(PAYLOAD_TYPE, statement));
        Envelope {
            payload: STANDARD.encode(statement),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: vec![EnvelopeSignature {
                keyid: self.keyid().to_owned(),
                sig: STANDARD.encode(signature),
            }],
        }
    }
}
