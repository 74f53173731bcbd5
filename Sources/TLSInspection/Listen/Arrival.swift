// What is known of a connection when its beginning is: cheap to make on a loop, and dear only for who
// asks for the words. Fingerprints and texts are made of it where they are written, not where bytes move.

import SocketCore
public import Sockets

/// A connection whose beginning is known, and what became of it.
public final class Arrival: @unchecked Sendable {
    // Sendable: all is set before it is told, by the one relay that has it until then.

    /// The most bytes that are kept of what is no hello.
    static let beginningMax = 64

    /// When it was accepted.
    let time: RelayTime
    /// Who connected.
    let remote: NetworkAddress
    /// What its beginning was.
    public internal(set) var result = HelloRecord.Outcome.closed
    /// What the client said, in a place of its own: a copy of a hello counts a dozen references.
    var said: SaidHello?
    /// What the client said.
    public var hello: ClientHello? { said?.hello }
    /// The bytes that came until then.
    public internal(set) var received = 0
    /// How it began, when that is no hello.
    var beginning: [UInt8] = []
    /// The key of the map that decided.
    public internal(set) var route: RouteMap.Key?
    /// Where it was sent.
    var way: RelayWay?
    /// What went wrong, in words.
    public internal(set) var error: String?

    init(time: RelayTime, remote: NetworkAddress) {
        self.time = time
        self.remote = remote
    }

    /// The bytes of the client's message, with its header; 0 without one.
    public var size: Int { said?.hello.message.count ?? 0 }
    /// The servername.
    public var servername: String? { said?.hello.servername }
    /// What the client's make is told by; nil without a hello.
    package var kind: HelloKind? { said.map { HelloKind($0.hello) } }

    /// About how many bytes of memory it takes.
    public var cost: Int { 512 + 3 * size }

    /// The client's address in words.
    package var remoteText: String { SocketAddress(remote).description }
    /// The way in words.
    package var backend: String? { way?.name }
    /// When it was accepted.
    package var instant: (second: UnixTime, milliseconds: Int) { time.instant }

    /// Everything about it, in words.
    public var record: HelloRecord {
        var record = HelloRecord(time: time.text, remote: SocketAddress(remote).description)
        if let hello { record.note(hello) }
        record.result = result
        record.received = received
        if !beginning.isEmpty { record.beginning = escaped(beginning) }
        record.route = route?.description
        record.backend = way?.name
        record.error = error
        return record
    }
}

/// A point in time, as so long after the start of a watch.
struct RelayTime: Sendable {
    let start: UnixTime
    let elapsed: Duration

    /// The second, and what is behind it.
    var instant: (second: UnixTime, milliseconds: Int) {
        let (seconds, fraction) = elapsed.components
        return (
            UnixTime(seconds: start.seconds + seconds), Int(fraction / 1_000_000_000_000_000)
        )
    }

    /// UTC with milliseconds.
    var text: String {
        let (second, milliseconds) = instant
        return second.description.dropLast() + ".\(String(1000 + milliseconds).dropFirst())Z"
    }
}

/// A hello that is counted as one reference.
final class SaidHello: Sendable {
    let hello: ClientHello

    init(_ hello: ClientHello) { self.hello = hello }
}

/// What all hellos of one make have alike, as far as a record tells of them: two hellos of one kind have
/// the same fingerprints, lists and counts.
package struct HelloKind: Hashable, Sendable {
    private let bytes: [UInt8]

    /// Takes what a hello has of it.
    package init(_ hello: borrowing ClientHello) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(512)
        func add(_ number: UInt16) {
            bytes.append(UInt8(number >> 8))
            bytes.append(UInt8(truncatingIfNeeded: number))
        }
        add(hello.legacyVersion.rawValue)
        add(UInt16(truncatingIfNeeded: hello.cipherSuites.count))
        for suite in hello.cipherSuites { add(suite) }
        // By its place: an extension that is copied counts references.
        for place in hello.extensions.indices {
            add(hello.extensions[place].number)
            switch hello.extensions[place].number {
            // Groups, point formats, signature algorithms, protocols, versions.
            case 10, 11, 13, 16, 43: break
            default: continue
            }
            add(UInt16(truncatingIfNeeded: hello.extensions[place].contents.count))
            bytes += hello.extensions[place].contents
        }
        self.bytes = bytes
    }

    /// Hashes all bytes in one piece.
    package func hash(into hasher: inout Hasher) {
        unsafe bytes.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
    }
}
