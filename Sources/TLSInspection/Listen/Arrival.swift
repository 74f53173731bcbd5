// What is known of a connection when its beginning is: cheap to make on a loop, and dear only for who
// asks for the words. Fingerprints and texts are made of it where they are written, not where bytes move.

import SocketCore
public import Sockets

/// A connection whose beginning is known, and what became of it.
public struct Arrival: Sendable {
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

    /// UTC with milliseconds.
    var text: String {
        let (seconds, fraction) = elapsed.components
        let whole = UnixTime(seconds: start.seconds + seconds).description
        let thousandths = String(1000 + fraction / 1_000_000_000_000_000).dropFirst()
        return whole.dropLast() + ".\(thousandths)Z"
    }
}
