// The staples that a server gives to clients who ask (RFC 6066 §8). They are changed while connections
// are made: whoever fetches them puts them here, and a handshake takes what is there, without a wait.

import COpenSSL
import Synchronization

/// The staples that servers of one context give, by certificate; usable from any thread.
///
/// ```swift
/// let shelf = OCSPStapleShelf()
/// let context = try TLSContext(role: .server, identities: [identity], staples: shelf)
/// shelf.put(try OCSPStaple(reading: response, for: identity), for: identity.certificate)
/// ```
///
/// A staple that is out of date is not given.
public final class OCSPStapleShelf: Sendable {
    private struct Entry {
        let certificate: Certificate
        let staple: OCSPStaple
    }

    private let entries = Mutex<[Entry]>([])
    private let clock: @Sendable () -> UnixTime

    /// Makes an empty shelf, which tells the time by the machine's clock.
    public init() {
        clock = { UnixTime.now }
    }

    /// Makes an empty shelf with a clock of one's own.
    package init(clock: @escaping @Sendable () -> UnixTime) {
        self.clock = clock
    }

    /// Puts a staple there for new connections; it takes the place of the one before.
    ///
    /// - Parameters:
    ///   - staple: The staple; nil takes the one before away.
    ///   - certificate: The leaf that it speaks of.
    public func put(_ staple: OCSPStaple?, for certificate: Certificate) {
        entries.withLock { entries in
            entries.removeAll { $0.certificate == certificate }
            guard let staple else { return }
            entries.append(Entry(certificate: certificate, staple: staple))
        }
    }

    /// What is given for a certificate now; nil when there is nothing, or it is out of date.
    public func staple(for certificate: Certificate) -> OCSPStaple? {
        current { $0 == certificate }
    }

    /// What is given for a certificate of OpenSSL's.
    func response(for certificate: OpaquePointer) -> [UInt8]? {
        // OpenSSL keeps the digests that it compares.
        current { unsafe X509_cmp($0.handle.pointer, certificate) == 0 }?.der
    }

    private func current(_ isMeant: (Certificate) -> Bool) -> OCSPStaple? {
        guard
            let staple = entries.withLock({ entries in
                entries.first { isMeant($0.certificate) }?.staple
            })
        else { return nil }
        guard let nextUpdate = staple.nextUpdate, clock() > nextUpdate else { return staple }
        return nil
    }
}

/// `SSL_CTX_set_tlsext_status_cb` of a server: a client asks for a staple.
@c(sockets_give_staple)
func giveStaple(_ ssl: OpaquePointer?, _ context: UnsafeMutableRawPointer?) -> CInt {
    guard let context = unsafe context, let leaf = unsafe SSL_get_certificate(ssl) else {
        return SSL_TLSEXT_ERR_NOACK
    }
    let response = unsafe Unmanaged<OCSPStapleShelf>.fromOpaque(context)._withUnsafeGuaranteedRef {
        unsafe $0.response(for: leaf)
    }
    guard let response, !response.isEmpty else { return SSL_TLSEXT_ERR_NOACK }
    // OpenSSL takes the copy over.
    guard unsafe cssl_set_staple(ssl, response, response.count) == 1 else {
        return SSL_TLSEXT_ERR_NOACK
    }
    return SSL_TLSEXT_ERR_OK
}
