// The seed's event of a listener, and the response to it.

import SocketCore
import Synchronization

/// A connection a listener has accepted and made ready (seed `OnSocketEvent`).
public final class OnSocketEvent: Sendable {
    /// The connection (seed `socket`).
    public let socket: Socket
    private let core: ListenerCore
    private let hasResponded = Atomic<Bool>(false)

    init(_ socket: Socket, _ core: ListenerCore) {
        self.socket = socket
        self.core = core
    }

    /// Sends a response, once (seed `respondWith`).
    ///
    /// The response runs as a child of the listener: closing the listener waits for it. Behind the
    /// body the sending side ends; the connection is closed too unless somebody else consumes the
    /// socket's stream. A connection that is neither responded to nor kept is closed.
    ///
    /// - Parameter response: What to send, and options for the connection.
    /// - Throws: ``SocketError`` `.alreadyResponded` the second time, or of category misuse for
    ///   options that cannot be.
    public func respondWith(_ response: SocketResponse) throws(SocketError) {
        guard !hasResponded.exchange(true, ordering: .relaxed) else {
            throw SocketError(.alreadyResponded)
        }
        try core.respond(to: socket, with: response)
    }
}

/// What a listener answers to a connection (seed `SocketResponse`).
public struct SocketResponse: Sendable {
    /// The options it was made from.
    public var options: SocketResponseOptions

    /// Makes a response from options (seed `constructor(SocketResponseOptions)`).
    ///
    /// - Parameter options: What to send, and how.
    public init(_ options: SocketResponseOptions) {
        self.options = options
    }

    /// Makes a response that sends a body.
    ///
    /// - Parameter body: What to send.
    public init(body: SocketBody) {
        var options = SocketResponseOptions()
        options.body = body
        self.init(options)
    }

    /// Makes a response that sends a sequence of chunks, for example the socket's own stream.
    ///
    /// - Parameter body: The chunks.
    public init<Chunks: AsyncSequence & Sendable>(
        body: Chunks
    ) where Chunks.Element == [UInt8] {
        self.init(body: SocketBody.sequence(body))
    }
}

/// What to send to an accepted connection, and how (seed `SocketResponseOptions`).
///
/// Members that are nil leave the connection as the listener made it.
public struct SocketResponseOptions: Sendable {
    /// What to send (seed `body`).
    public var body: SocketBody?
    /// Aborts the connection when given (seed `signal`).
    public var signal: AbortSignal?
    /// Whether small writes leave at once; nil keeps the listener's choice (seed `noDelay`).
    public var noDelay: Bool?
    /// Time for the body to be sent; nil for none (seed `connectionTimeout`).
    ///
    /// The connection exists already, so this is what is left to bound. Without a body it means nothing.
    public var connectionTimeout: Duration?
    /// Time without a byte after which the connection ends; nil keeps the listener's (seed
    /// `idleTimeout`).
    public var idleTimeout: Duration?
    /// Bytes of the kernel's send buffer; nil leaves it (seed `sendBufferSize`).
    public var sendBufferSize: Int?
    /// Bytes of the kernel's receive buffer; nil leaves it (seed `receiveBufferSize`).
    public var receiveBufferSize: Int?
    /// Hops a packet may take, 1...255; nil leaves it (seed `ttl`).
    public var ttl: Int?

    /// Makes the default options.
    public init() {}
}
