// The preshared keys of one handshake: what is asked, what was answered, and what OpenSSL gets.
//
// Theory of operation
//
// A client is asked before it says anything, as a ClientHello of TLS 1.3 proves a key already. What it
// gets decides the hello:
//
//     key for TLS 1.3   only that version and suites of the key's hash are offered: with another suite
//                       OpenSSL would pass over the key without a word
//     key for TLS 1.2   only that version and suites with preshared keys are offered
//     none              everything is offered; in TLS 1.2 the server may still choose such a suite
//
// In TLS 1.2 it is asked (again) once the server's flight is in, for only then there is a hint.
//
// A server is asked about the names of the ClientHello, one by one until one is known, or in TLS 1.2
// about that of the ClientKeyExchange. One that is not known gets a random key where there is nothing to
// fall back on: the handshake fails where and how it does for a wrong key, so a stranger cannot find
// out which names exist.
//
// A key that was given is insisted on. The handshake ends when the server shows a certificate instead,
// and at the latest when it is complete: sessions carry a mark of the key they were made with, since
// OpenSSL's word for a preshared key and for a resumed session is the same.

/// Whether a client insists on a preshared key.
public enum PresharedKeyDemand: String, CaseIterable, Hashable, Sendable {
    /// Once its owner has given one: the server proves that it has it, or the handshake fails.
    case onceGiven
    /// In any case: without a key there is no connection.
    case always
    /// Not: a certificate that is trusted does as well.
    case never
}

/// What a side needs a preshared key for.
public enum PresharedKeyRequest: Hashable, Sendable {
    /// A client: to begin with, for whichever version.
    case begin
    /// A client of TLS 1.2: for a server that gave this hint, or none.
    case hint(String?)
    /// A server: the key of this name, in this version.
    case identity(PresharedKeyIdentity, ProtocolVersion)

    /// Where the handshake waits.
    var phase: HandshakePhase {
        switch self {
        case .begin: .serverHello
        case .hint: .keyExchange
        case .identity(_, .tls13): .clientHello
        case .identity: .keyExchange
        }
    }
}

/// The preshared keys of one handshake; changed under its engine.
final class PresharedKeyExchange {
    /// A key that OpenSSL gets when it asks.
    struct Offer {
        let identity: PresharedKeyIdentity
        let key: SecretBytes
        let hash: PresharedKeyHash
        /// The identity's bytes, in memory that OpenSSL can look at.
        let name: SecretBytes

        init(_ identity: PresharedKeyIdentity, _ key: SecretBytes, _ hash: PresharedKeyHash) {
            self.identity = identity
            self.key = key
            self.hash = hash
            name = SecretBytes(identity.bytes)
        }
    }

    /// What this side insists on.
    let demand: PresharedKeyDemand
    /// Marks the session of this handshake; nobody else's has it.
    let nonce: [UInt8]

    /// Whether all is known that the first ClientHello needs.
    var isHelloSettled = false
    /// The names of a server's client that were not asked about yet.
    var unasked: ArraySlice<PresharedKeyIdentity> = []
    /// The first name of a client that is no ticket of ours.
    var firstName: PresharedKeyIdentity?
    /// The numbers of the client's suites.
    var suites: [UInt16] = []
    /// For TLS 1.3, once OpenSSL may have it.
    var offer: Offer?
    /// A client's key for TLS 1.2, until it is known whether the server has a hint.
    var planned: PresharedKeyInfo?
    /// For TLS 1.2, once OpenSSL may have it.
    var exchanged: (identity: [UInt8], key: SecretBytes)?
    /// Follows what the peer says in TLS 1.2.
    var scanner: KeyExchangeScanner?
    /// The owner has given a key, or a name was answered with a random one.
    var isEngaged = false
    /// Why the key in use is one that nobody has.
    var problem: TLSError?

    init(_ context: TLSContext) {
        demand = context.role == .client ? context.policy.presharedKeyDemand : .never
        var random = SystemRandomNumberGenerator()
        nonce = (0..<PresharedKeyMark.nonceCount).map { _ in
            UInt8.random(in: .min ... .max, using: &random)
        }
        if context.role == .client, context.versions.lowerBound == .tls12 {
            scanner = KeyExchangeScanner(
                role: .client,
                suites: CipherSuiteList.presharedKeySuites,
                limit: PresharedKeyInfo.identityBytesMax12
            )
        }
    }

    /// Whether a handshake without a preshared key fails.
    var isDemanded: Bool {
        switch demand {
        case .always: true
        case .onceGiven: isEngaged
        case .never: false
        }
    }

    /// Why the connection ends that the server has proved by something else.
    var unused: TLSError {
        TLSError(
            .presharedKeyUnused,
            hint: "The server may not know the key's identity, or not share its version and hash; "
                + "demand .never lets certificates do as well"
        )
    }

    /// Lets go of the keys: the handshake is over.
    func forget() {
        offer = nil
        planned = nil
        exchanged = nil
        scanner = nil
        unasked = []
    }

    /// How many bytes OpenSSL may have, and the scanner behind them.
    func admit(_ bytes: Span<UInt8>) -> Int {
        guard var trial = scanner, !trial.isOver else { return bytes.count }
        return trial.scan(bytes)
    }

    /// Takes in what OpenSSL took.
    ///
    /// - Parameters:
    ///   - bytes: What it took.
    ///   - last: The byte behind them, if it was held back.
    func note(_ bytes: Span<UInt8>, heldBack last: Span<UInt8>) {
        guard scanner?.isOver == false else { return }
        _ = scanner?.scan(bytes)
        if !last.isEmpty { _ = scanner?.scan(last.extracting(..<1)) }
    }

    /// An error that says more than OpenSSL's reasons do.
    func sharpened(_ error: TLSError, role: TLSRole) -> TLSError {
        guard isEngaged, role == .server else { return error }
        let isMismatch =
            error.code == .presharedKeyMismatch || error.code == .badRecord && exchanged != nil
        guard isMismatch else { return error }
        var sharpened = problem ?? TLSError(.presharedKeyMismatch)
        sharpened.phase = error.phase
        sharpened.reasons = error.reasons
        return sharpened
    }
}

/// The mark of a session that was made with a preshared key.
///
/// It travels in the session's tickets.
enum PresharedKeyMark {
    private static let label: [UInt8] = Array("PSK1".utf8)
    static let nonceCount = 16

    /// Makes a mark.
    static func make(nonce: [UInt8], _ identity: PresharedKeyIdentity) -> [UInt8] {
        label + nonce + identity.bytes
    }

    /// Reads a mark; nil for anything else.
    static func read(_ bytes: [UInt8]) -> (nonce: [UInt8], identity: PresharedKeyIdentity)? {
        let start = label.count + nonceCount
        guard bytes.count > start, bytes.starts(with: label) else { return nil }
        return (
            Array(bytes[label.count..<start]), PresharedKeyIdentity(bytes: Array(bytes[start...]))
        )
    }
}
