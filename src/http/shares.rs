//! Bounds of what is in use at the same time: in all, and by client, so that no client can take everything.

use std::sync::{Arc, Mutex};

use super::client::Client;
use super::lock;

/// Counts what is in use.
#[derive(Debug)]
pub(crate) struct Shares {
    max: usize,
    max_each: usize,
    in_use: Mutex<InUse>,
}

#[derive(Debug, Default)]
struct InUse {
    all: usize,
    by_client: foldhash::HashMap<Client, usize>,
}

/// One that is in use, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Arc<Shares>,
    client: Client,
}

/// Why nothing more can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// All are in use.
    All,
    /// This client uses as many as one client may.
    Client,
}

impl Shares {
    /// Returns `max` shares, of which a client gets at most `max_each`.
    pub(crate) fn new(max: usize, max_each: usize) -> Arc<Shares> {
        Arc::new(Shares { max, max_each, in_use: Mutex::default() })
    }

    /// Takes a share. Errors if there is none for this client.
    pub(crate) fn take(self: &Arc<Shares>, client: Client) -> Result<Share, Full> {
        let mut in_use = lock(&self.in_use);
        if in_use.all >= self.max {
            return Err(Full::All);
        }
        let of_client = in_use.by_client.entry(client).or_default();
        if *of_client >= self.max_each {
            return Err(Full::Client);
        }
        *of_client += 1;
        in_use.all += 1;
        Ok(Share { shares: self.clone(), client })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut in_use = lock(&self.shares.in_use);
        in_use.all = in_use.all.saturating_sub(1);
        if let Some(of_client) = in_use.by_client.get_mut(&self.client) {
            *of_client = of_client.saturating_sub(1);
            if *of_client == 0 {
                in_use.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_its_part_and_all_together_the_whole() {
        let shares = Shares::new(3, 2);
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|address| Client::of(address.parse().unwrap()));
        let first = shares.take(a).unwrap();
        let _second = shares.take(a).unwrap();
        assert_eq!(shares.take(a).err(), Some(Full::Client));
        let third = shares.take(b).unwrap();
        assert_eq!(shares.take(b).err(), Some(Full::All));
        drop(third);
        drop(first);
        let _again = shares.take(a).unwrap();
        assert_eq!(shares.take(a).err(), Some(Full::Client));
        assert_eq!(lock(&shares.in_use).by_client.len(), 1);
    }
}
