//! The server's certificate, signed by an authority of its own.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

use crate::aws::cloud::Keys;
use crate::problem::Problem;

/// What the server needs, and what a client needs to trust it.
pub struct Identity {
    pub config: Arc<ServerConfig>,
    /// The authority's certificate, PEM.
    pub authority: String,
}

/// Makes an authority and a certificate for `host`, an address or a name.
pub fn identity(host: &str) -> Result<Identity, Problem> {
    let problem = || Problem::new("the demo server has no certificate");
    let certify = || -> Result<_, rcgen::Error> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        authority.distinguished_name.push(DnType::CommonName, "ekscope demo");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let names = vec![host.to_owned(), "localhost".to_owned()];
        let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
        Ok((authority.pem(), certificate, key))
    };
    let (authority, certificate, key) = certify().map_err(|error| problem().because(error))?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| problem().because(error))?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .map_err(|error| problem().because(error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Identity { config: Arc::new(config), authority })
}

/// A number that nobody can guess.
fn secret() -> Result<u128, Problem> {
    let mut bytes = [0_u8; 16];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| Problem::new("the demo server has no token").because("no randomness"))?;
    Ok(u128::from_be_bytes(bytes))
}

/// A bearer token that nobody can guess.
pub fn token() -> Result<String, Problem> {
    Ok(format!("demo-{:032x}", secret()?))
}

/// Keys to the AWS account that nobody can guess.
pub fn keys() -> Result<Keys, Problem> {
    let (id, key) = (format!("{:032X}", secret()?), format!("{:032x}{:08x}", secret()?, secret()? >> 96));
    Ok(Keys { id: format!("AKIADEMO{}", &id[..12]), secret: key })
}
