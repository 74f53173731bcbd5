// The seed's stream: what the peer sends, chunk by chunk, at the consumer's pace.

/// What a peer sends, as a sequence of chunks (seed `ReadableStream`).
///
/// Nothing is read ahead of the consumer, so a slow one slows the peer down. The sequence ends when
/// the peer ends its side in good order, and throws when the stream is cut off.
public struct SocketStream: AsyncSequence, Sendable {
    /// A chunk: 1...65,536 bytes.
    public typealias Element = [UInt8]
    /// What the sequence throws.
    public typealias Failure = SocketError

    private let socket: Socket

    init(_ socket: Socket) {
        self.socket = socket
    }

    /// Makes the iterator; iterators of one stream share its chunks.
    public func makeAsyncIterator() -> Iterator {
        Iterator(socket: socket)
    }

    /// Reads a stream.
    public struct Iterator: AsyncIteratorProtocol {
        let socket: Socket

        /// Waits for the next chunk; nil at the end.
        public mutating func next() async throws(SocketError) -> [UInt8]? {
            try await socket.connection.read(upTo: .max)
        }

        /// Waits for the next chunk on the caller's actor; nil at the end.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(SocketError) -> [UInt8]? {
            try await socket.connection.read(upTo: .max)
        }
    }
}
