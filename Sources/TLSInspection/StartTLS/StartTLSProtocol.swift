// The protocols that begin in the clear and can be asked for TLS.

/// A protocol that goes over to TLS when it is asked to.
public enum StartTLSProtocol: String, CaseIterable, Codable, Hashable, Sendable {
    /// Mail (RFC 3207).
    case smtp
    /// Mailboxes (RFC 9051 §6.2.1).
    case imap
    /// Mailboxes (RFC 2595 §4).
    case pop3
    /// Files (RFC 4217).
    case ftp
    /// PostgreSQL's own protocol, by its SSLRequest.
    case postgres
    /// MySQL's and MariaDB's own protocol, by its SSLRequest.
    case mysql
    /// Directories (RFC 4511 §4.14).
    case ldap
    /// Messages, from client to server (RFC 6120 §5).
    case xmpp
    /// Filters of mail: ManageSieve (RFC 5804 §2.2).
    case sieve
    /// Local mail (RFC 2033), with RFC 3207.
    case lmtp
    /// News (RFC 4642).
    case nntp

    /// The port where it is spoken unless another one is named.
    public var port: UInt16 {
        switch self {
        case .smtp: 25
        case .imap: 143
        case .pop3: 110
        case .ftp: 21
        case .postgres: 5432
        case .mysql: 3306
        case .ldap: 389
        case .xmpp: 5222
        case .sieve: 4190
        case .lmtp: 24
        case .nntp: 119
        }
    }

    /// What it is called.
    var title: String {
        switch self {
        case .postgres: "PostgreSQL"
        case .mysql: "MySQL"
        case .sieve: "ManageSieve"
        default: rawValue.uppercased()
        }
    }
}
