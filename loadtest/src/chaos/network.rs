//! A network on this machine alone, in which every node has a place of its own that can be cut off: a bridge, and a namespace with one
//! pair of virtual interfaces for each node. Nothing of it is connected to any other network, and all of it goes with this value.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::fleet::node::Place;

/// From the range for private networks; the third number is this process's own.
const PREFIX: [u8; 2] = [10, 213];
/// The bridge.
const HOST: u8 = 1;
/// The first place; there are as many as a byte has room for.
const FIRST: u8 = 10;

/// See the top of this file.
pub(super) struct Network {
    /// Part of all names, and of addresses.
    number: u8,
    next: u8,
}

/// Whether namespaces can be made here.
///
/// # Errors
/// Says what is missing.
pub(super) fn is_possible() -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "network namespaces need root");
    let ip = Command::new("ip").arg("-V").output();
    ensure!(ip.is_ok_and(|ip| ip.status.success()), "the program `ip` is missing (Debian: iproute2)");
    Ok(())
}

impl Network {
    pub(super) fn new() -> Result<Self> {
        let number = u8::try_from(std::process::id() % 250).unwrap_or(0) + 1;
        let network = Self { number, next: FIRST };
        let bridge = network.bridge();
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        ip(&["address", "add", &format!("{}/24", network.host()), "dev", &bridge])?;
        ip(&["link", "set", &bridge, "up"])?;
        Ok(network)
    }

    fn bridge(&self) -> String {
        format!("gomera{}", self.number)
    }

    fn address(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(PREFIX[0], PREFIX[1], self.number, last)
    }

    /// Where this side of it is.
    pub(super) fn host(&self) -> Ipv4Addr {
        self.address(HOST)
    }

    /// A place for one node.
    pub(super) fn place(&mut self) -> Result<Place> {
        let last = self.next;
        self.next = last.checked_add(1).context("all places are taken")?;
        let place = Place {
            namespace: format!("gomera{}-{last}", self.number),
            outside: format!("gm{}-{last}", self.number),
            address: self.address(last),
        };
        let inside = format!("gn{}-{last}", self.number);
        let within = |arguments: &[&str]| ip(&[&["-n", &place.namespace], arguments].concat());
        ip(&["netns", "add", &place.namespace])?;
        ip(&["link", "add", &place.outside, "type", "veth", "peer", "name", &inside, "netns", &place.namespace])?;
        ip(&["link", "set", &place.outside, "master", &self.bridge(), "up"])?;
        within(&["address", "add", &format!("{}/24", place.address), "dev", &inside])?;
        within(&["link", "set", &inside, "up"])?;
        within(&["link", "set", "lo", "up"])?;
        Ok(place)
    }

    /// Nothing comes to a place or from it, or everything does again.
    #[expect(clippy::unused_self, reason = "a place can be cut off as long as its network stands")]
    pub(super) fn cut(&self, place: &Place, is_cut: bool) -> Result<()> {
        ip(&["link", "set", &place.outside, if is_cut { "down" } else { "up" }])
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for last in FIRST..self.next {
            // Interfaces go with their namespace.
            drop(ip(&["netns", "delete", &format!("gomera{}-{last}", self.number)]));
        }
        drop(ip(&["link", "delete", &self.bridge()]));
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("start `ip`")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
