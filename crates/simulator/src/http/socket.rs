//! Just enough of WebSocket (RFC 6455) for `exec` and `port-forward`: the handshake, and frames to and from a client.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// No client of an `exec` sends longer messages.
const LONGEST: u64 = 1 << 20;
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What a server answers to a client's key.
pub fn accept(key: &str) -> String {
    BASE64_STANDARD.encode(sha1(format!("{key}{GUID}").as_bytes()))
}

/// SHA-1 (RFC 3174): the handshake wants it, nothing here is kept secret by it.
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = message.to_vec();
    padded.push(0x80);
    // The length fills the last eight bytes of a block.
    padded.resize((padded.len() + 8).next_multiple_of(64) - 8, 0);
    padded.extend_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks_exact(64) {
        let mut words = [0_u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        for at in 16..80 {
            words[at] = (words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1);
        }
        let mut mix = state;
        for (at, word) in words.iter().enumerate() {
            let [first, x, y, z, last] = mix;
            let (mixed, constant) = match at {
                0..20 => (x & y | !x & z, 0x5a82_7999),
                20..40 => (x ^ y ^ z, 0x6ed9_eba1),
                40..60 => (x & y | x & z | y & z, 0x8f1b_bcdc),
                _ => (x ^ y ^ z, 0xca62_c1d6_u32),
            };
            let sum = first.rotate_left(5).wrapping_add(mixed).wrapping_add(last);
            mix = [sum.wrapping_add(constant).wrapping_add(*word), first, x.rotate_left(30), y, z];
        }
        for (sum, part) in state.iter_mut().zip(mix) {
            *sum = sum.wrapping_add(part);
        }
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

/// The server's end of a socket.
#[derive(Debug)]
pub struct Socket<S>(pub S);

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// The next message; `None` when the client has gone, or sends what is none.
    pub async fn read(&mut self) -> Option<Vec<u8>> {
        let mut message = Vec::new();
        loop {
            let head = [self.0.read_u8().await.ok()?, self.0.read_u8().await.ok()?];
            let length = match head[1] & 0x7f {
                126 => u64::from(self.0.read_u16().await.ok()?),
                127 => self.0.read_u64().await.ok()?,
                short => u64::from(short),
            };
            // Clients mask what they send.
            if head[1] & 0x80 == 0 || length + message.len() as u64 > LONGEST {
                return None;
            }
            let mut mask = [0; 4];
            self.0.read_exact(&mut mask).await.ok()?;
            let mut body = vec![0; usize::try_from(length).ok()?];
            self.0.read_exact(&mut body).await.ok()?;
            body.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
            match head[0] & 0x0f {
                CLOSE => return None,
                PING => self.frame(PONG, &body).await?,
                PONG => {}
                _ => {
                    message.extend_from_slice(&body);
                    if head[0] & 0x80 != 0 {
                        return Some(message);
                    }
                }
            }
        }
    }

    async fn frame(&mut self, kind: u8, body: &[u8]) -> Option<()> {
        let mut frame = vec![0x80 | kind];
        match (u8::try_from(body.len()), u16::try_from(body.len())) {
            (Ok(length), _) if length < 126 => frame.push(length),
            (_, Ok(length)) => {
                frame.push(126);
                frame.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                frame.push(127);
                frame.extend_from_slice(&(body.len() as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(body);
        self.0.write_all(&frame).await.ok()?;
        self.0.flush().await.ok()
    }

    /// Sends bytes as they are.
    pub async fn binary(&mut self, bytes: &[u8]) -> Option<()> {
        self.frame(BINARY, bytes).await
    }

    /// Sends `text` on a channel of the Kubernetes protocol.
    pub async fn send(&mut self, channel: u8, text: &[u8]) -> Option<()> {
        self.frame(BINARY, &[&[channel], text].concat()).await
    }

    /// Says that this is the end (1000: all is well), and waits for the client to go.
    pub async fn close(mut self) {
        if self.frame(CLOSE, &1000_u16.to_be_bytes()).await.is_some() {
            let _ = tokio::time::timeout(std::time::Duration::from_secs(2), self.read()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_answered_as_the_standard_says() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let hex = |digest: [u8; 20]| {
            let words = digest.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word));
            words.map(|word| format!("{word:08x}")).collect::<Vec<_>>().concat()
        };
        assert_eq!(hex(sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(
            hex(sha1(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
        );
    }

    #[tokio::test]
    async fn messages_are_unmasked_and_pings_answered() {
        let (client, server) = tokio::io::duplex(1024);
        let (mut client, mut socket) = (client, Socket(server));
        client.write_all(&[0x89, 0x81, 0, 0, 0, 0, b'p']).await.unwrap();
        client.write_all(&[0x02, 0x81, 1, 2, 3, 4, b'a' ^ 1]).await.unwrap();
        client.write_all(&[0x80, 0x82, 1, 2, 3, 4, b'b' ^ 1, b'c' ^ 2]).await.unwrap();
        assert_eq!(socket.read().await.unwrap(), b"abc");
        socket.send(1, b"hi").await.unwrap();
        let mut said = [0; 8];
        client.read_exact(&mut said).await.unwrap();
        assert_eq!(said, [0x8a, 1, b'p', 0x82, 3, 1, b'h', b'i']);
        // What is not masked is no client's.
        client.write_all(&[0x82, 0x01, b'x']).await.unwrap();
        assert!(socket.read().await.is_none());
    }
}
