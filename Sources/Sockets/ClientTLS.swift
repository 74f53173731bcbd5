// What a client's side of TLS is made from: the same for a connection that begins with TLS and for one
// that starts it later.

/// A client's TLS members, checked, for one remote.
struct ClientTLS: Sendable {
    let context: TLSContext
    let decider: TLSDecider?
    private let remote: SocketAddress
    private let servername: String?
    private let session: TLSSession?

    /// Checks the members.
    ///
    /// - Throws: ``SocketError`` of category misuse.
    init(_ tls: TLSSocketInit, remote: SocketAddress) throws(SocketError) {
        context = try tls.context()
        session = try tls.resumption()
        decider = ClientDecider(tls)
        servername = tls.servername
        self.remote = remote
    }

    /// Makes an engine whose handshake has not begun.
    func makeEngine() throws(SocketError) -> TLSEngine {
        // A path is no name; what to verify then comes from the servername or the trust policy.
        let name = remote.address.hasPrefix("unix:") ? nil : remote.address
        do throws(TLSError) {
            return try TLSEngine(
                context,
                remoteName: name,
                servername: servername,
                resuming: session,
                peer: SessionPeer(remote.address, port: remote.port)
            )
        } catch {
            throw .configuration(error)
        }
    }
}
