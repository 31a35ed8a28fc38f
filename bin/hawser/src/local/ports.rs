//! Which ports are free, and who holds those that are not.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

/// Whether a port can be listened on.
pub(crate) fn is_free(address: SocketAddr) -> bool {
    TcpListener::bind(address).is_ok()
}

/// Why an address cannot be listened on, in words; `None` where it can.
pub(crate) fn trouble(address: SocketAddr) -> Option<String> {
    let error = TcpListener::bind(address).err()?;
    Some(match error.kind() {
        ErrorKind::AddrInUse => {
            let by = owner(address.port()).map_or_else(String::new, |owner| format!(" by {owner}"));
            format!("{address} is in use{by}")
        }
        ErrorKind::AddrNotAvailable => {
            let (ip, all) = match address {
                SocketAddr::V4(v4) => (v4.ip().to_string(), "0.0.0.0"),
                SocketAddr::V6(v6) => (v6.ip().to_string(), "[::]"),
            };
            format!("{ip} is no address of this machine; {all} stands for all that it has")
        }
        _ => format!("{address}: {error}"),
    })
}

/// A port that is free at this moment on loopback.
pub(crate) fn any_free() -> Option<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).ok()?;
    Some(listener.local_addr().ok()?.port())
}

/// The process that listens on a port, as `name (pid 123)`; `None` where it cannot be told: another
/// user's process, or no `/proc`.
pub(crate) fn owner(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .find_map(|text| listening_inode(&text, port))?;
    let link = format!("socket:[{inode}]");
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(fds) = std::fs::read_dir(entry.path().join("fd")) else {
            continue;
        };
        let holds = fds
            .flatten()
            .filter_map(|fd| std::fs::read_link(fd.path()).ok())
            .any(|target| target.to_str() == Some(&link));
        if holds {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", name.trim()));
        }
    }
    None
}

/// The inode of the socket that listens on a port, from the text of `/proc/net/tcp`.
fn listening_inode(text: &str, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    text.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (_, local_port) = fields.next()?.split_once(':')?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?.parse().ok()?;
        let same = u16::from_str_radix(local_port, 16) == Ok(port);
        (same && state == LISTEN).then_some(inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_not_free_and_its_owner_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(!is_free(address));
        let owner = owner(address.port()).unwrap();
        assert!(
            owner.contains(&format!("(pid {})", std::process::id())),
            "{owner}"
        );
        let told = trouble(address).unwrap();
        assert!(told.contains("is in use by "), "{told}");
        drop(listener);
        assert!(is_free(address) && trouble(address).is_none());
        // For documentation only (RFC 5737), so nobody's.
        let told = trouble(([192, 0, 2, 1], address.port()).into()).unwrap();
        assert!(
            told.contains("192.0.2.1 is no address of this machine"),
            "{told}"
        );
    }

    #[test]
    fn the_table_of_sockets_is_read_by_column() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:2161 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100\n\
            1: 0100007F:2162 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100\n";
        assert_eq!(listening_inode(text, 0x2161), Some(4711));
        assert_eq!(listening_inode(text, 0x2162), None);
        assert_eq!(listening_inode("", 1), None);
    }
}
