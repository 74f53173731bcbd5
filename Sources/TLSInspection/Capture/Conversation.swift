// What two sides of a flow said to each other in clear: the ClientHello, the server's answer to it, and the
// alert that ended it. Each side is read for itself, as its bytes come in order; when nothing more can come
// that is not encrypted, the flow is settled and holds no more bytes.

import Sockets

/// The client's side of a flow.
struct ClientSide {
    private enum Phase {
        case hello(HelloPeek)
        /// Behind the hello: only alerts are of interest.
        case records(RecordWalk)
        case ended
    }

    private var phase = Phase.hello(HelloPeek(limit: CaptureLimits.helloBytes))
    /// The alert that it sent in clear.
    private(set) var alert: Alert?

    /// Makes a side that has said nothing.
    ///
    /// - Parameter isBehindHello: Whether its hello was before the capture.
    init(isBehindHello: Bool) { if isBehindHello { phase = .records(RecordWalk()) } }

    /// Whether nothing more is of interest.
    var hasEnded: Bool { if case .ended = phase { true } else { false } }

    /// Ends it as it is.
    mutating func end() { phase = .ended }

    /// The bytes that are held.
    var heldBytes: Int {
        switch phase {
        case .hello(let peek): peek.bytes.count
        case .records(let walk): walk.heldBytes
        case .ended: 0
        }
    }

    /// Takes bytes in order, and notes a hello in a record of the flow.
    ///
    /// - Parameters:
    ///   - bytes: What came.
    ///   - isRetried: Whether the server asked for a second hello: until then nothing is encrypted.
    ///   - record: What is known of the flow.
    mutating func take(_ bytes: [UInt8], isRetried: Bool, _ record: inout HelloRecord) {
        switch phase {
        case .ended: break
        case .hello(var peek):
            phase = .ended
            do throws(TLSError) {
                let hello = try peek.take(bytes)
                record.received = peek.bytes.count
                guard let hello else {
                    phase = .hello(peek)
                    return
                }
                record.note(hello)
                var walk = RecordWalk()
                walk.take(peek.bytes.dropFirst(hello.records.count))
                follow(walk, isRetried)
            } catch {
                record.note(error, peek.bytes)
            }
        case .records(var walk):
            phase = .ended
            walk.take(bytes)
            follow(walk, isRetried)
        }
    }

    /// What there is of a hello, when no more comes.
    func close(_ record: inout HelloRecord) {
        guard case .hello(let peek) = phase else { return }
        record.error = "the end came before a ClientHello"
        if !peek.bytes.isEmpty { record.beginning = escaped(peek.bytes.prefix(64)) }
    }

    private mutating func follow(_ walk: RecordWalk, _ isRetried: Bool) {
        var walk = walk
        while let next = try? walk.next() {
            switch OpenRecord(next) {
            case .handshake: break
            case .alert(let found):
                guard found.level == .fatal || found.code == 0 else { break }
                alert = found
                return
            // Between the two hellos it means nothing (RFC 8446 §D.4).
            case .changeCipherSpec where isRetried: break
            case .changeCipherSpec, .hidden: return
            }
        }
        phase = .records(walk)
    }
}

/// The server's side of a flow.
struct ServerSide {
    private var walk = RecordWalk()
    private var reader = ServerReader()
    /// The request for another hello.
    private(set) var retry: ServerFlight?
    /// What it said at last.
    private(set) var answer: RawAnswer?
    /// The alert that it sent in clear.
    private(set) var alert: Alert?
    /// Whether nothing more is of interest.
    private(set) var hasEnded = false

    /// The bytes that are held, about.
    var heldBytes: Int { walk.heldBytes + reader.bytesRead }

    /// Takes bytes in order.
    mutating func take(_ bytes: [UInt8]) {
        guard !hasEnded else { return }
        walk.take(bytes)
        do throws(Malformed) {
            while !hasEnded, let record = try walk.next() { read(record) }
        } catch {
            end(or: error.isTLS ? .malformed(error.reason) : .notTLS)
        }
        if hasEnded { walk = RecordWalk() }
    }

    /// Ends it as it is.
    ///
    /// - Parameter otherwise: The answer when it has given none.
    mutating func end(or otherwise: RawAnswer) {
        guard !hasEnded else { return }
        hasEnded = true
        if answer == nil { answer = reader.ending(or: otherwise) }
    }

    private mutating func read(_ record: [UInt8]) {
        let kind = OpenRecord(record)
        // Behind a retry it means nothing (RFC 8446 §D.4).
        if case .changeCipherSpec = kind, retry != nil, answer == nil { return }
        if case .alert(let found) = kind, found.level == .fatal { alert = found }
        if answer == nil {
            switch reader.read(record) {
            case .flight(let flight)? where flight.isRetry && retry == nil:
                (retry, reader) = (flight, ServerReader())
                return
            case let found?: answer = found
            case nil: break
            }
        }
        switch kind {
        case .handshake: break
        case .alert(let found): if found.level == .fatal || found.code == 0 { hasEnded = true }
        case .changeCipherSpec, .hidden:
            end(or: .malformed("encrypted records before the ServerHello"))
        }
    }
}

/// A flow that is not settled.
struct Conversation {
    /// Where a flow stands whose beginning is not in the capture.
    enum Middle { case beforeHello, behindHello }

    let client: PacketEndpoint
    /// What is known of the client's hello.
    private(set) var record: HelloRecord
    private(set) var clientSide: ClientSide
    private(set) var serverSide = ServerSide()
    /// How many segments it had.
    private(set) var packets = 0
    /// Whether its first segment is not in the capture.
    let beginsInTheMiddle: Bool
    private var toServer = SegmentStream()
    private var toClient = SegmentStream()
    /// The number behind the last byte of each side, once it is told.
    private var ends: (client: UInt32?, server: UInt32?)
    private(set) var isReset = false

    /// Makes one of which nothing is known yet.
    ///
    /// - Parameters:
    ///   - client: Who connected.
    ///   - server: To whom.
    ///   - time: When.
    ///   - middle: Whether it began before the capture, and what of it is missing.
    init(_ client: PacketEndpoint, _ server: PacketEndpoint, time: String?, _ middle: Middle?) {
        self.client = client
        beginsInTheMiddle = middle != nil
        clientSide = ClientSide(isBehindHello: middle == .behindHello)
        record = HelloRecord(time: time, remote: client.address.description)
        record.command = "read"
        record.event = "flow"
        record.backend = server.address.description
    }

    /// The bytes that are held, about.
    var heldBytes: Int {
        toServer.heldBytes + toClient.heldBytes + clientSide.heldBytes + serverSide.heldBytes
    }

    /// Whether bytes are missing.
    var hasGap: Bool { toServer.hasGap || toClient.hasGap }

    /// Whether bytes came twice and were not the same.
    var disagrees: Bool { toServer.disagrees || toClient.disagrees }

    /// Whether both sides have ended it, or one broke it off.
    var isClosed: Bool {
        isReset
            || ends.client != nil && ends.client == toServer.next
                && ends.server != nil && ends.server == toClient.next
    }

    /// Whether nothing more can come that is not encrypted.
    var isSettled: Bool {
        if isClosed { return true }
        switch record.result {
        case .notTLS, .malformed, .tooLarge: return true
        case .closed where !beginsInTheMiddle: return false
        default:
            return clientSide.alert != nil || serverSide.alert != nil
                || clientSide.hasEnded && serverSide.hasEnded
        }
    }

    /// Takes a segment of it.
    mutating func take(_ segment: TCPSegment) {
        packets += 1
        let isFromClient = segment.source == client
        if segment.isSYN { begin(isFromClient, segment.payloadSequence) }
        if let number = segment.acknowledgment, !segment.isRST { begin(!isFromClient, number) }
        if !segment.payload.isEmpty { take(segment.payload, segment, isFromClient) }
        if segment.isFIN {
            let end =
                segment.payloadSequence &+ UInt32(truncatingIfNeeded: segment.payload.count)
            if isFromClient { ends.client = end } else { ends.server = end }
            begin(isFromClient, end)
        }
        if segment.isRST { isReset = true }
    }

    /// Ends it as it is, because no more is looked at.
    mutating func close() {
        if record.result == .closed { clientSide.close(&record) }
        serverSide.end(or: isReset || ends.server != nil ? .closed : .silence)
        toServer.forget()
        toClient.forget()
    }

    /// The first byte's number of a side, unless it is known.
    private mutating func begin(_ isClient: Bool, _ number: UInt32) {
        if isClient { toServer.begin(at: number) } else { toClient.begin(at: number) }
    }

    private mutating func take(
        _ bytes: ArraySlice<UInt8>,
        _ segment: TCPSegment,
        _ isFromClient: Bool
    ) {
        if isFromClient {
            let found = toServer.take(bytes, at: segment.payloadSequence)
            if !found.isEmpty {
                clientSide.take(found, isRetried: isBetweenHellos, &record)
            }
            if toServer.count > CaptureLimits.streamBytes { clientSide.end() }
        } else {
            let found = toClient.take(bytes, at: segment.payloadSequence)
            if !found.isEmpty { serverSide.take(found) }
            if toClient.count > CaptureLimits.streamBytes {
                serverSide.end(or: .malformed("no end"))
            }
        }
    }

    private var isBetweenHellos: Bool { serverSide.retry != nil && serverSide.answer == nil }
}

extension PacketEndpoint {
    /// The address and port.
    var address: SocketAddress {
        SocketAddress(ipHigh: high, low: low, isIPv4: isIPv4, port: port)
    }
}

extension HelloRecord {
    /// Notes why there is no hello.
    mutating func note(_ error: TLSError, _ bytes: [UInt8]) {
        switch error.code {
        case .notTLS: result = .notTLS
        case .clientHelloTooLarge: result = .tooLarge
        default: result = .malformed
        }
        self.error = error.detail ?? error.description
        if !bytes.isEmpty { beginning = escaped(bytes.prefix(64)) }
    }
}
