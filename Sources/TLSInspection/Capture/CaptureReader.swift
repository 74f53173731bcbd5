// The packets of a capture, as its bytes come: pcap, and pcapng by way of its blocks. What is read again and
// again is a fixed head; what is not needed is passed over and never held. A length that cannot be ends the
// reading, as nothing behind it can be found; a file that ends within a packet is told, too.
//
//     unknown ─ magic ─▶ pcap      24 bytes, then a head of 16 bytes and a packet each
//                    └─▶ pcapng    blocks: type, length, contents, length again

import Sockets

/// The form of a capture.
public enum CaptureFormat: String, CaseIterable, Codable, Hashable, Sendable {
    /// The form of tcpdump and of old.
    case pcap
    /// Wireshark's.
    case pcapng
}

/// Why bytes are no capture.
public struct CaptureFault: Error, Hashable, Sendable {
    /// Why, in words.
    public var reason: String
    /// What would help; nil when nothing is known to.
    public var hint: String?

    /// Makes a fault.
    public init(reason: String, hint: String? = nil) {
        self.reason = reason
        self.hint = hint
    }
}

/// When a packet came.
struct CaptureTime: Hashable, Comparable {
    var seconds: Int64
    var nanoseconds: Int

    /// A time of the years 0 to 9999; nil for others, which no clock told.
    init?(seconds: Int64, nanoseconds: Int) {
        guard (-62_167_219_200...253_402_300_799).contains(seconds) else { return nil }
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    static func < (left: CaptureTime, right: CaptureTime) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }

    /// In UTC with milliseconds.
    var text: String {
        let thousandths = String(1000 + nanoseconds / 1_000_000).dropFirst()
        return UnixTime(seconds: seconds).description.dropLast() + ".\(thousandths)Z"
    }
}

/// A packet of a capture.
struct CapturedPacket {
    /// When it came; nil when it is not told.
    var time: CaptureTime?
    /// The number of its link layer.
    var link: UInt16
    /// What the capture has of it.
    var bytes: ArraySlice<UInt8>
}

/// What comes next in a capture.
enum CaptureStep {
    case packet(CapturedPacket)
    /// A packet that cannot be used.
    case skipped
}

/// Reads a capture.
struct CaptureReader {
    enum Layout {
        case unknown
        case pcap(PcapFile)
        case pcapng(PcapngSection)
    }

    /// The form, once it is known.
    private(set) var format: CaptureFormat?
    /// How many bytes were taken.
    private(set) var taken = 0
    /// What is wrong with the file.
    private(set) var findings: [Finding] = []
    /// Whether nothing more can be read.
    private(set) var isOver = false
    private var layout = Layout.unknown
    private var bytes: [UInt8] = []
    /// Where the next thing begins in ``bytes``.
    private var place = 0
    /// How many bytes have to be passed over before it.
    private var passing = 0
    /// The length that has to stand there once more; nil when none has.
    private var lengthAgain: UInt32?

    /// Takes the next bytes of the file.
    mutating func take(_ piece: [UInt8]) {
        taken += piece.count
        guard !isOver else { return }
        bytes.removeFirst(place)
        place = 0
        bytes += piece
        pass(0)
    }

    /// The next packet; nil when more bytes are needed.
    ///
    /// - Throws: ``CaptureFault`` when it is no capture at all.
    mutating func next() throws(CaptureFault) -> CaptureStep? {
        while !isOver, passing == 0 {
            switch layout {
            case .unknown: guard try identify() else { return nil }
            case .pcap(let file):
                guard let step = nextRecord(of: file) else { return nil }
                return step
            case .pcapng(let section) where lengthAgain != nil:
                guard endBlock(section) else { return nil }
            case .pcapng(var section):
                // Only one has the list of interfaces, so that it is not copied when it grows.
                layout = .unknown
                defer { layout = .pcapng(section) }
                switch nextBlock(of: &section) {
                case .wait: return nil
                case .step(let step): return step
                case .other: continue
                }
            }
        }
        return nil
    }

    /// Notes the end.
    ///
    /// - Parameter isEarly: Whether it is not the file's.
    /// - Throws: ``CaptureFault`` when it was no capture at all.
    mutating func finish(early isEarly: Bool) throws(CaptureFault) {
        guard format != nil else {
            throw CaptureFault(reason: taken == 0 ? "the file is empty" : "the file is no capture")
        }
        guard !isOver, !isEarly, passing > 0 || lengthAgain != nil || place < bytes.count else {
            return
        }
        isOver = true
        tell("truncated-capture", .warn, "the file ends within a packet")
    }

    // MARK: Bytes

    /// What came and was not read yet.
    private func rest(isLittleEndian: Bool) -> BoundedBytes {
        BoundedBytes(bytes[place...], isLittleEndian: isLittleEndian)
    }

    /// Passes over bytes, also over those that have not come yet.
    private mutating func pass(_ count: Int) {
        passing += count
        let now = min(passing, bytes.count - place)
        place += now
        passing -= now
    }

    private mutating func tell(_ id: String, _ severity: Severity, _ text: String) {
        if findings.count < CaptureLimits.findings { findings.append(Finding(id, severity, text)) }
    }

    /// Ends the reading.
    private mutating func end(_ text: String) {
        isOver = true
        bytes = []
        place = 0
        tell("malformed-capture", .bad, text + "; what is behind it cannot be read")
    }

    private mutating func identify() throws(CaptureFault) -> Bool {
        guard let number = rest(isLittleEndian: true).number32(0) else { return false }
        if number == PcapngSection.blockType {
            (format, layout) = (.pcapng, .pcapng(PcapngSection()))
            return true
        }
        guard let kind = PcapFile.kind(of: number) else { throw CaptureFault(magic: number) }
        let head = rest(isLittleEndian: kind.isLittleEndian)
        guard let major = head.number16(4), let link = head.number32(20) else { return false }
        guard major == 2 else { throw CaptureFault(reason: "a capture of version \(major)") }
        format = .pcap
        layout = .pcap(
            PcapFile(
                isLittleEndian: kind.isLittleEndian,
                hasNanoseconds: kind.hasNanoseconds,
                link: UInt16(truncatingIfNeeded: link)
            )
        )
        pass(24)
        return true
    }

    // MARK: pcap

    private mutating func nextRecord(of file: PcapFile) -> CaptureStep? {
        let head = rest(isLittleEndian: file.isLittleEndian)
        guard let seconds = head.number32(0), let fraction = head.number32(4),
            let count = head.number32(8)
        else { return nil }
        guard count <= CaptureLimits.packetBytes else {
            end("a packet of \(count) bytes")
            return nil
        }
        guard let body = head.behind(16), body.count >= count else { return nil }
        pass(16 + Int(count))
        // Some writers give more than a second.
        let part = Int(fraction) * (file.hasNanoseconds ? 1 : 1000)
        let time = CaptureTime(
            seconds: Int64(seconds) + Int64(part / 1_000_000_000),
            nanoseconds: part % 1_000_000_000
        )
        let bytes = body.slice.prefix(Int(count))
        return .packet(CapturedPacket(time: time, link: file.link, bytes: bytes))
    }

    // MARK: pcapng

    private enum BlockStep {
        case wait
        case other
        case step(CaptureStep)
    }

    private mutating func nextBlock(of section: inout PcapngSection) -> BlockStep {
        var head = rest(isLittleEndian: section.isLittleEndian)
        guard let type = head.number32(0) else { return .wait }
        if type == PcapngSection.blockType {
            // The order of a section's bytes is told behind its length.
            guard let mark = head.number32(8) else { return .wait }
            guard let order = PcapngSection.isLittleEndian(mark, head.isLittleEndian) else {
                end("a section without its mark")
                return .wait
            }
            section = PcapngSection(isLittleEndian: order)
            head.isLittleEndian = order
        }
        guard let length = head.number32(4) else { return .wait }
        let least = section.leastLength(of: type)
        guard ((least ?? 12)...UInt32(CaptureLimits.blockBytes)).contains(length), length % 4 == 0
        else {
            end("a block of \(length) bytes")
            return .wait
        }
        // Nothing but its head is waited for, and the packet in it; of names, counters, secrets, and what
        // nobody knows, nothing.
        let needed = least == nil ? 8 : section.needed(type, length, head)
        guard head.count >= needed else { return .wait }
        defer {
            if !isOver {
                pass(Int(length) - 4)
                lengthAgain = length
            }
        }
        guard least != nil else { return .other }
        let block = head.front(needed)
        switch type {
        case PcapngSection.blockType:
            guard block.number16(12) == 1 else {
                end("a section of version \(block.number16(12) ?? 0)")
                return .wait
            }
            return .other
        case 1:
            if !section.note(interface: block) {
                tell("capture-limit", .warn, "more than \(CaptureLimits.interfaces) interfaces")
            }
            return .other
        default:
            switch section.packet(type, length, block) {
            case .packet(let packet)?: return .step(.packet(packet))
            case .skipped?: return .step(.skipped)
            case nil:
                end("a packet that does not fit into its block")
                return .wait
            }
        }
    }

    /// Reads a block's length again; false when more bytes are needed, or it is another one.
    private mutating func endBlock(_ section: PcapngSection) -> Bool {
        let rest = rest(isLittleEndian: section.isLittleEndian)
        guard let length = lengthAgain, let again = rest.number32(0) else { return false }
        guard again == length else {
            end("a block of \(length) bytes that ends as one of \(again)")
            return false
        }
        lengthAgain = nil
        pass(4)
        return true
    }
}

extension CaptureFault {
    /// Tells of a file by its first bytes.
    fileprivate init(magic: UInt32) {
        let packers: [(UInt32, UInt32, String)] = [
            (0xffff, 0x8b1f, "gunzip -c"), (0xffff_ffff, 0xfd2f_b528, "zstd -dc"),
            (0xffff_ffff, 0x184d_2204, "lz4 -dc"), (0xffff_ffff, 0x587a_37fd, "xz -dc"),
        ]
        reason = "the file is no capture"
        guard let packer = packers.first(where: { magic & $0.0 == $0.1 }) else { return }
        reason = "the file is compressed"
        hint = "\(packer.2) FILE | tlsinspect read -"
    }
}
