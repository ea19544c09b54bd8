//! The client of a request, as far as its address says.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use warp::Filter;

/// An IPv4 address, or the first half of an IPv6 address: one machine usually has all addresses of such a network.
///
/// It is the address of the connection. A header such as `X-Forwarded-For` has no influence, because every client can
/// write one. So all clients of a proxy are one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Client(IpAddr);

/// The bits of an IPv6 address that belong to one machine.
const HOST_BITS: u32 = 64;

impl Client {
    /// Stands for the client of a request that did not come over a socket.
    pub(crate) const UNKNOWN: Client = Client(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

    /// Returns the address, or the network of an IPv6 address.
    pub(super) fn address(self) -> IpAddr {
        self.0
    }

    pub(super) fn of(address: IpAddr) -> Client {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) >> HOST_BITS << HOST_BITS;
                Client(IpAddr::V6(Ipv6Addr::from(network)))
            }
            address => Client(address),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Extracts the client of a request.
pub(crate) fn client() -> impl Filter<Extract = (Client,), Error = std::convert::Infallible> + Copy
{
    warp::ext::optional::<Client>().map(|client: Option<Client>| client.unwrap_or(Client::UNKNOWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_machine_are_one_client() {
        let of = |address: &str| Client::of(address.parse().unwrap());
        assert_eq!(of("10.0.0.1"), of("::ffff:10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("2001:db8::1").to_string(), "2001:db8::");
    }
}
