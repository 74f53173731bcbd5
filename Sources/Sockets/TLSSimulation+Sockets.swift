// The policy simulator for the dictionaries of sockets and listeners.

extension TLSSimulation {
    /// Runs the handshake of a client and a listener in memory, before either is deployed.
    ///
    /// ```swift
    /// let simulation = try TLSSimulation(clientOptions, with: listenerOptions)
    /// print(simulation.explanation)
    /// ```
    ///
    /// Callbacks are not called: a server is checked by its name, and everything else goes as it is
    /// configured. Addresses of the listener play no part.
    ///
    /// - Parameters:
    ///   - client: What a `Socket` would be made from.
    ///   - listener: What a `SocketListener` would be made from.
    /// - Throws: ``SocketError`` of category misuse when one of them could not be made.
    public init(_ client: SocketInit, with listener: SocketListenerInit) throws(SocketError) {
        for type in [client.type, listener.type] where type != .tls {
            throw SocketError(.tlsOptionWithoutTLS, hint: "Set type to tls on both sides")
        }
        let (near, far) = (try client.tls.context(), try listener.tls.context())
        let name = client.remote.address
        do throws(TLSError) {
            try self.init(
                client: near,
                server: far,
                remoteName: name.hasPrefix("unix:") ? nil : name,
                servername: client.tls.servername
            )
        } catch {
            throw .configuration(error)
        }
    }
}
