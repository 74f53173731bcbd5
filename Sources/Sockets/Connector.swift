// From a client's dictionary to an established connection: resolve, try the addresses in turn, shake
// hands. It runs as one task on the connection's loop; whatever ends the connection cancels it.

import SocketCore
import Synchronization

/// What a client connection is made from, checked.
struct Connector: Sendable {
    let endpoint: Endpoint
    let local: NetworkAddress?
    let family: AddressFamily
    let options: SocketOptions
    let tls: ClientTLS?
    let limits: SocketLimits
    let connectionTimeout: Duration?
    let idleTimeout: Duration?

    /// Checks a dictionary.
    ///
    /// - Throws: ``SocketError`` of category misuse.
    init(_ options: SocketInit) throws(SocketError) {
        endpoint = try options.remote.endpoint()
        if let local = options.local {
            guard case .address(let address) = try local.endpoint() else {
                throw SocketError(.invalidAddress, detail: "a local address is an IP address")
            }
            self.local = address
        } else {
            local = nil
        }
        family =
            switch options.addressFamily {
            case .any: .any
            case .ipv4: .ipv4
            case .ipv6: .ipv6
            }
        self.options = try SocketOptions(
            noDelay: options.noDelay,
            sendBufferSize: options.sendBufferSize,
            receiveBufferSize: options.receiveBufferSize,
            ttl: options.ttl
        )
        switch options.type {
        case .tcp:
            guard options.tls == TLSSocketInit() else {
                throw SocketError(.tlsOptionWithoutTLS, hint: "Set type to tls")
            }
            tls = nil
        case .tls:
            tls = try ClientTLS(options.tls, remote: options.remote, body: options.body)
        }
        limits = options.limits
        connectionTimeout = try Connector.checked(options.connectionTimeout, "connectionTimeout")
        idleTimeout = try Connector.checked(options.idleTimeout, "idleTimeout")
        // What is wrong with the names shows here, and not after a connection was made for nothing.
        _ = try tls?.makeEngine()
    }

    /// Establishes a connection; what goes wrong ends it.
    func run(_ connection: Connection) async {
        if case .name = endpoint { connection.note(.resolving) }
        if let connectionTimeout {
            let deadline = EventLoop.readClock().advanced(by: connectionTimeout)
            connection.state.withLock { $0.establishDeadline = deadline }
            connection.armTimer()
        }
        do throws(SocketError) {
            let addresses = try await resolve(connection)
            try await connect(connection, to: addresses)
            try await connection.handshake()
        } catch {
            connection.end(CloseReason(error), failure: error, departure: .quiet)
        }
    }

    private func resolve(_ connection: Connection) async throws(SocketError) -> [NetworkAddress] {
        switch endpoint {
        case .address(let address): return [address]
        case .name(let name, let port):
            let began = EventLoop.readClock()
            do throws(ResolutionError) {
                let found = try await Resolver.resolve(name.text, family: family)
                let took = began.duration(to: EventLoop.readClock())
                connection.state.withLock { $0.connectTimings.resolution = took }
                return found.map { .ip($0, port: port) }
            } catch {
                throw SocketError(
                    error.code == .cancelled ? .aborted : .resolutionFailed,
                    detail: error.description,
                    address: SocketAddress(name.text, port: port),
                    phase: .resolving
                )
            }
        }
    }

    /// Tries the addresses in turn; the last failure is told.
    private func connect(
        _ connection: Connection,
        to addresses: [NetworkAddress]
    ) async throws(SocketError) {
        connection.note(.connecting)
        var failure = SocketError(.resolutionFailed, detail: "the name has no address")
        for address in addresses {
            let began = EventLoop.readClock()
            connection.state.withLock { $0.remoteAddress = address }
            do throws(SocketError) {
                let descriptor = try await ConnectAttempt.connect(
                    to: address,
                    from: local,
                    options: options,
                    loop: connection.loop,
                    timeout: limits.connectAttempt
                )
                let number = descriptor.rawValue
                let own = StreamSocket.localAddress(number).map { SocketAddress($0) }
                prepare(connection, connectTook: began.duration(to: EventLoop.readClock()))
                try connection.adopt(
                    descriptor,
                    engine: try tls?.makeEngine(),
                    local: own,
                    remote: address
                )
                connection.watchSessions()
                return
            } catch {
                failure = error
                connection.state.withLock { $0.watch?.tell(.attemptFailed(error)) }
                if error.category == .aborted { break }
            }
        }
        throw failure
    }

    /// Sets the deadline for the handshake, within the one for everything.
    private func prepare(_ connection: Connection, connectTook: Duration) {
        let handshake = EventLoop.readClock().advanced(by: limits.handshake)
        connection.state.withLock { s in
            s.decider = tls?.decider
            s.connectTimings.connect = connectTook
            s.establishDeadline = min(s.establishDeadline ?? handshake, handshake)
            s.idleTimeout = idleTimeout
        }
        connection.armTimer()
    }

    static func checked(_ timeout: Duration?, _ name: String) throws(SocketError) -> Duration? {
        guard let timeout else { return nil }
        guard timeout > .zero else {
            throw SocketError(.invalidOption, detail: "\(name) is longer than 0, or nil for none")
        }
        return timeout
    }
}

extension SocketOptions {
    /// Checks the kernel options of a dictionary.
    init(
        noDelay: Bool?,
        sendBufferSize: Int?,
        receiveBufferSize: Int?,
        ttl: Int?
    ) throws(SocketError) {
        for (name, size) in [
            ("sendBufferSize", sendBufferSize), ("receiveBufferSize", receiveBufferSize),
        ] {
            guard let size else { continue }
            guard (1...Int(Int32.max)).contains(size) else {
                throw SocketError(.invalidOption, detail: "\(name) is 1...\(Int32.max) bytes")
            }
        }
        if let ttl {
            guard (1...255).contains(ttl) else {
                throw SocketError(.invalidOption, detail: "ttl is 1...255 hops")
            }
        }
        self.init()
        self.noDelay = noDelay
        self.sendBufferSize = sendBufferSize
        self.receiveBufferSize = receiveBufferSize
        timeToLive = ttl
    }
}
