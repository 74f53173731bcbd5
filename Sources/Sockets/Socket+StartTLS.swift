// Starting TLS on a socket that speaks TCP: the client's form, and the listener's two.

extension Socket {
    /// Starts TLS on this client's connection, and returns when the handshake is done.
    ///
    /// Called when the server has given its go-ahead, in the clear, and that was read; a socket that
    /// still connects is waited for. Afterwards everything is as on a socket that began with TLS:
    /// ``info`` has the TLS members, ``report`` the handshake, ``sessions`` the sessions. The name to
    /// send and to verify is the remote's unless ``TLSSocketInit/servername`` says otherwise.
    ///
    /// ```swift
    /// try await socket.write("STARTTLS\r\n")
    /// guard try await readLine(socket).hasPrefix("220") else { throw Refused() }
    /// try await socket.startTLS(TLSSocketInit { $0.alpn = ["smtp"] })
    /// ```
    ///
    /// What the server has sent beyond its go-ahead came in the clear, and could be somebody else's: it
    /// is refused, and ends the connection. This sees what the socket has not read; what the
    /// application has read and not used it gives as `unread`.
    ///
    /// While it runs, reads and writes wait until it is over. It has until ``SocketLimits/handshake``
    /// is over; cancelling the task aborts the connection.
    ///
    /// - Parameters:
    ///   - tls: The TLS members, as of a socket that begins with TLS.
    ///   - unread: What was read behind the go-ahead; anything is an error.
    /// - Returns: What was negotiated.
    /// - Throws: ``SocketError``: `.cannotStartTLS` for a socket that speaks TLS, of a listener, that
    ///   sends a body, whose one side has ended, or on which a read or write waits, and one of category
    ///   misuse for members that cannot be: the connection goes on without TLS then. Everything else
    ///   ends it: `.plaintextBeforeTLS`, and what a handshake can fail of.
    @discardableResult
    public func startTLS(
        _ tls: TLSSocketInit = TLSSocketInit(),
        unread: [UInt8] = []
    ) async throws(SocketError) -> SocketInfo {
        try await startTLS(tls, unread: unread, timeout: nil)
    }

    func startTLS(
        _ tls: TLSSocketInit,
        unread: [UInt8],
        timeout: Duration?
    ) async throws(SocketError) -> SocketInfo {
        guard let origin else {
            throw SocketError(
                .cannotStartTLS,
                detail: "the socket is a listener's",
                hint: "Start TLS with PreparedTLS there"
            )
        }
        let client = try ClientTLS(tls, remote: origin)
        let engine = try client.makeEngine()
        try await connection.awaitUpgradable()
        var upgrade = Connection.Upgrade(decider: client.decider, unread: unread)
        upgrade.sessionKey = tls.sessionKey
        upgrade.timeout = timeout
        return try await connection.startTLS(engine, upgrade)
    }

    /// Gives a client of this listener's the go-ahead, starts TLS, and returns when the handshake is
    /// done.
    ///
    /// Called when the client has asked for TLS. Before a byte of the reply leaves it is made sure that
    /// nothing is unread: a client that goes by the protocol waits for the reply, and commands that
    /// somebody put behind its request must not be carried out as if they had come under TLS
    /// (CVE-2011-0411 and its kind). Anything there ends the connection, without a reply. This sees what
    /// the socket has not read; what the application has read and not used it gives as `unread`.
    ///
    /// ```swift
    /// for try await line in lines {
    ///     guard line == "STARTTLS" else { … }
    ///     try await socket.startTLS(tls, sending: "220 go ahead\r\n", unread: lines.rest)
    /// }
    /// ```
    ///
    /// Otherwise as the client's form.
    ///
    /// - Parameters:
    ///   - tls: Who the listener is, and what it wants.
    ///   - reply: The go-ahead, sent in the clear; at least one byte.
    ///   - unread: What was read behind the client's request; anything is an error.
    /// - Returns: What was negotiated.
    /// - Throws: ``SocketError`` as the client's form.
    @discardableResult
    public func startTLS(
        _ tls: PreparedTLS,
        sending reply: [UInt8],
        unread: [UInt8] = []
    ) async throws(SocketError) -> SocketInfo {
        guard !reply.isEmpty else {
            throw SocketError(
                .invalidOption,
                detail: "the reply is empty",
                hint: "Where the client waits for no reply, start TLS without one"
            )
        }
        return try await startTLS(tls, Connection.Upgrade(reply: reply, unread: unread))
    }

    /// Gives a client the go-ahead in text, and starts TLS.
    ///
    /// - Parameters:
    ///   - tls: Who the listener is, and what it wants.
    ///   - reply: The go-ahead, sent in the clear in UTF-8; at least one byte.
    ///   - unread: What was read behind the client's request; anything is an error.
    /// - Returns: What was negotiated.
    /// - Throws: ``SocketError`` as the client's form.
    @discardableResult
    public func startTLS(
        _ tls: PreparedTLS,
        sending reply: String,
        unread: [UInt8] = []
    ) async throws(SocketError) -> SocketInfo {
        try await startTLS(tls, sending: Array(reply.utf8), unread: unread)
    }

    /// Starts TLS with a client that waits for no reply, and returns when the handshake is done.
    ///
    /// For protocols in which the ClientHello comes right behind the request (MySQL), and for ports that
    /// take TLS and cleartext, where the first byte tells: 22 is TLS. Whatever is unread belongs to TLS
    /// here: it goes to the handshake, which fails if it is anything else, and to nobody but that.
    ///
    /// - Parameters:
    ///   - tls: Who the listener is, and what it wants.
    ///   - start: What the application has read of the handshake; it comes first.
    /// - Returns: What was negotiated.
    /// - Throws: ``SocketError`` as the client's form, but for `.plaintextBeforeTLS`.
    @discardableResult
    public func startTLS(
        _ tls: PreparedTLS,
        beginningWith start: [UInt8] = []
    ) async throws(SocketError) -> SocketInfo {
        try await startTLS(tls, Connection.Upgrade(unread: start, takesUnread: true))
    }

    private func startTLS(
        _ tls: PreparedTLS,
        _ upgrade: Connection.Upgrade
    ) async throws(SocketError) -> SocketInfo {
        guard connection.role == .server else {
            throw SocketError(
                .cannotStartTLS,
                detail: "the socket is a client's",
                hint: "Start TLS with TLSSocketInit there"
            )
        }
        let current = tls.current
        var upgrade = upgrade
        upgrade.decider = current.decider
        let engine = try makeEngine(current)
        try await connection.awaitUpgradable()
        let remote = connection.remote ?? SocketAddress("", port: 0)
        do throws(SocketError) {
            let info = try await connection.startTLS(engine, upgrade)
            if let report = info.report {
                tls.feed.publish(.handshakeDone(report, remote: remote))
            }
            return info
        } catch {
            if error.category != .misuse {
                tls.feed.publish(.handshakeFailed(error, remote: remote))
            }
            throw error
        }
    }

    private func makeEngine(_ tls: ListenerTLS) throws(SocketError) -> TLSEngine {
        do throws(TLSError) {
            return try TLSEngine(tls.context)
        } catch {
            throw .configuration(error)
        }
    }
}
