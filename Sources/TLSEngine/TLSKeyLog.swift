// The key log: the secrets of every connection, for those who debug with Wireshark. Whoever has them
// reads all of its data, so there is none unless somebody asks for it by name.

/// Gets the secrets of connections, by which **whoever has them decrypts everything**: for debugging
/// alone, and never where the data matters.
///
/// Off unless it is set. A line is in the format of `SSLKEYLOGFILE` (NSS), for example
/// `CLIENT_TRAFFIC_SECRET_0 <client random> <secret>`, without its end; Wireshark and tshark read a file
/// of them (`tls.keylog_file`). A connection with a key log says so in
/// ``HandshakeReport/concessions``.
///
/// ```swift
/// policy.keyLog = TLSKeyLog { line in print(line) }
/// ```
public struct TLSKeyLog: Sendable {
    /// One object a log, by which two are told apart.
    final class Sink: Sendable {
        let write: @Sendable (String) -> Void
        init(_ write: @escaping @Sendable (String) -> Void) { self.write = write }
    }

    let sink: Sink

    /// Makes a log of a closure.
    ///
    /// - Parameter write: Gets each line, from the thread that shakes hands, in the middle of its step:
    ///   it must not wait, and must not use the connection.
    public init(_ write: @escaping @Sendable (_ line: String) -> Void) { sink = Sink(write) }
}

extension TLSKeyLog: Hashable {
    /// Whether both are the same log, or copies of it.
    public static func == (left: TLSKeyLog, right: TLSKeyLog) -> Bool { left.sink === right.sink }

    /// Hashes what `==` compares.
    public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(sink)) }
}
