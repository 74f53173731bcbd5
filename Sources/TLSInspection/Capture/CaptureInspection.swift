// A capture, read from its first byte to its last: bytes in, flows out, and at the end a summary. It does no
// I/O, and holds as much as CaptureLimits say.
//
//     bytes ─▶ CaptureReader ─▶ packets ─▶ segment(in:) ─▶ FlowTable ─▶ Conversation ─▶ FlowRecord

import Sockets

/// Which flows of a capture are told.
public struct CaptureFilter: Hashable, Sendable {
    /// A pattern of servernames.
    public enum Name: Hashable, Sendable {
        /// This name, in lower case.
        case name(String)
        /// Every name that ends so, in lower case, for example `.b.test`.
        case under(String)
        /// No servername.
        case unnamed
    }

    /// Ports of either end; none is all.
    public var ports: Set<UInt16> = []
    /// Servernames; none is all.
    public var names: [Name] = []
    /// Whether flows are told that have nothing of TLS.
    public var includesOthers = false

    /// Makes a filter that lets all of TLS through.
    public init() {}

    /// Whether a flow's hello is asked for.
    func includes(_ flow: FlowRecord) -> Bool {
        guard includesOthers || flow.isTLS else { return false }
        guard !names.isEmpty else { return true }
        let name = flow.hello.sni?.lowercased()
        return names.contains { pattern in
            switch pattern {
            case .name(let wanted): name == wanted
            case .under(let end): name?.hasSuffix(end) ?? false
            case .unnamed: name == nil && flow.hello.result == .tls
            }
        }
    }
}

/// Reads a capture of packets and tells of the TLS in it.
///
/// Bytes go in by ``read(_:)``, flows come out as soon as nothing more of them can be read; ``finish()``
/// gives the rest. Not to be used by several tasks at once.
public struct CaptureInspection: ~Copyable {
    private let file: String
    private let filter: CaptureFilter
    private let failOn: Severity
    private var reader = CaptureReader()
    private var flows: FlowTable
    private var tally = HelloTally(local: "")
    private var counts: CaptureSummary
    private var times: (first: CaptureTime, last: CaptureTime)?
    /// The heaviest finding of the flows that were told.
    private var heaviest: Severity?

    /// Makes an inspection of which nothing is read yet.
    ///
    /// - Parameters:
    ///   - file: The file's name, for the summary.
    ///   - filter: Which flows are told.
    ///   - failOn: The lightest finding that shows in the exit code.
    public init(file: String, filter: CaptureFilter = CaptureFilter(), failOn: Severity = .bad) {
        self.init(file: file, filter: filter, failOn: failOn, flows: FlowTable())
    }

    init(file: String, filter: CaptureFilter, failOn: Severity, flows: FlowTable) {
        self.file = file
        self.filter = filter
        self.failOn = failOn
        self.flows = flows
        counts = CaptureSummary(file: file, format: .pcap)
    }

    /// How many bytes were read.
    public var bytesRead: Int { reader.taken }

    /// Whether nothing more can be read, as the file is broken.
    public var isOver: Bool { reader.isOver }

    /// Reads the next bytes of the file.
    ///
    /// - Parameter bytes: Any number of them.
    /// - Returns: The flows of which all is known.
    /// - Throws: ``CaptureFault`` when the file is no capture.
    public mutating func read(_ bytes: [UInt8]) throws(CaptureFault) -> [FlowRecord] {
        reader.take(bytes)
        while let step = try reader.next() {
            counts.packets += 1
            switch step {
            case .skipped: counts.skipped[.unknown, default: 0] += 1
            case .packet(let packet): look(at: packet)
            }
        }
        return told()
    }

    /// Notes the end.
    ///
    /// - Parameter isEarly: Whether it is not the file's: then nothing is said about the file.
    /// - Returns: The flows that were not settled.
    /// - Throws: ``CaptureFault`` when the file was no capture.
    public mutating func finish(early isEarly: Bool = false) throws(CaptureFault) -> [FlowRecord] {
        try reader.finish(early: isEarly)
        flows.finish()
        return told()
    }

    /// What came so far.
    public var summary: CaptureSummary {
        var summary = counts
        let hellos = tally.finished
        summary.format = reader.format ?? .pcap
        summary.bytes = reader.taken
        (summary.first, summary.last) = (times?.first.text, times?.last.text)
        (summary.flows, summary.middle) = (flows.begun, flows.strangers)
        summary.tls = hellos.tls
        (summary.unnamed, summary.notTLS) = (hellos.unnamed, hellos.notTLS)
        summary.medianBytes = hellos.medianBytes
        summary.findings = reader.findings
        if flows.forgotten > 0 {
            let text = "\(flows.forgotten) flows were told early: there are too many at once"
            summary.findings.append(Finding("capture-limit", .warn, text))
        }
        let heaviest = (summary.findings.map(\.severity) + [self.heaviest].compactMap(\.self)).max()
        if let heaviest, heaviest >= failOn { summary.exit = .findings }
        return summary
    }

    private mutating func look(at packet: CapturedPacket) {
        if let time = packet.time {
            times = (min(times?.first ?? time, time), max(times?.last ?? time, time))
        }
        do throws(PacketSkip) {
            let segment = try segment(in: packet.bytes, link: packet.link)
            guard isWanted(segment) else { return }
            flows.take(segment, time: packet.time?.text)
        } catch {
            counts.skipped[error, default: 0] += 1
        }
    }

    private func isWanted(_ segment: TCPSegment) -> Bool {
        filter.ports.isEmpty || filter.ports.contains(segment.source.port)
            || filter.ports.contains(segment.destination.port)
    }

    /// The flows that were settled, as far as they are asked for; all of them are counted.
    private mutating func told() -> [FlowRecord] {
        var told: [FlowRecord] = []
        for conversation in flows.takeSettled() {
            let flow = FlowRecord(conversation)
            tally.note(flow.hello)
            if flow.answer?.result == .chosen { counts.answered += 1 }
            if flow.alert != nil { counts.refused += 1 }
            guard filter.includes(flow) else {
                counts.hidden += 1
                continue
            }
            heaviest = ([heaviest].compactMap(\.self) + flow.findings.map(\.severity)).max()
            told.append(flow)
        }
        return told
    }
}
