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
    /// What the client said.
    public internal(set) var hello: ClientHello?
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

    /// About how many bytes of memory it takes.
    public var cost: Int { 512 + 3 * (hello?.message.count ?? 0) }

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

extension ClientHello {
    /// The bytes that all hellos of one make have alike, as far as a record tells of them: two hellos with
    /// the same have the same fingerprints, lists and counts.
    package var kind: [UInt8] {
        var key: [UInt8] = []
        key.reserveCapacity(512)
        func add(_ number: UInt16) {
            key.append(UInt8(number >> 8))
            key.append(UInt8(truncatingIfNeeded: number))
        }
        add(legacyVersion.rawValue)
        add(UInt16(truncatingIfNeeded: cipherSuites.count))
        for suite in cipherSuites { add(suite) }
        for entry in extensions {
            add(entry.number)
            // Groups, point formats, signature algorithms, protocols, versions.
            switch entry.number {
            case 10, 11, 13, 16, 43: break
            default: continue
            }
            add(UInt16(truncatingIfNeeded: entry.contents.count))
            key += entry.contents
        }
        return key
    }
}
