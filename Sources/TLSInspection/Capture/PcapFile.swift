// What the heads of captures say: of a pcap file, of a section of pcapng and of its interfaces.

/// The head of a pcap file.
struct PcapFile {
    var isLittleEndian: Bool
    var hasNanoseconds: Bool
    var link: UInt16

    /// What a file's first four bytes, read with the low byte first, say of it.
    static func kind(of number: UInt32) -> (isLittleEndian: Bool, hasNanoseconds: Bool)? {
        switch number {
        case 0xa1b2_c3d4: (true, false)
        case 0xd4c3_b2a1: (false, false)
        case 0xa1b2_3c4d: (true, true)
        case 0x4d3c_b2a1: (false, true)
        default: nil
        }
    }
}

/// A section of pcapng.
struct PcapngSection {
    /// The type of the block that begins one; the same in both orders.
    static let blockType: UInt32 = 0x0a0d_0d0a

    private struct Interface {
        var link: UInt16
        /// The most bytes of its packets; 0 is no limit.
        var lengthMax: UInt32
        var ticks = Ticks.decimal(6)
        /// Seconds to add.
        var offset: Int64 = 0
    }

    /// The parts of a second in which times are told.
    private enum Ticks {
        case decimal(Int)
        case binary(Int)
    }

    var isLittleEndian = true
    private var interfaces: [Interface] = []
    /// How many are not known, as there are too many.
    private var unknown = 0

    init(isLittleEndian: Bool = true) { self.isLittleEndian = isLittleEndian }

    /// The order that a section's mark tells, read in another one; nil when it is none.
    static func isLittleEndian(_ mark: UInt32, _ isReadSo: Bool) -> Bool? {
        switch mark {
        case 0x1a2b_3c4d: isReadSo
        case 0x4d3c_2b1a: !isReadSo
        default: nil
        }
    }

    /// The least length of a block; nil for those that are passed over.
    func leastLength(of type: UInt32) -> UInt32? {
        switch type {
        case Self.blockType: 28
        case 1: 20
        case 2, 6: 32
        case 3: 16
        default: nil
        }
    }

    /// How many bytes of a block have to be there: its head and its packet; of an interface its options.
    func needed(_ type: UInt32, _ length: UInt32, _ block: BoundedBytes) -> Int {
        let whole = Int(length)
        switch type {
        case 1: return min(whole - 4, CaptureLimits.descriptionBytes)
        case 3: return min(whole - 4, 12 + CaptureLimits.packetBytes)
        case 2, 6:
            let said = block.number32(20).map(Int.init) ?? 0
            return min(28 + min(said, CaptureLimits.packetBytes), whole - 4)
        default: return 24
        }
    }

    /// Notes an interface.
    ///
    /// - Parameter block: The block without its last four bytes, or as much of it as is looked at.
    /// - Returns: False for the first of too many.
    mutating func note(interface block: BoundedBytes) -> Bool {
        guard interfaces.count < CaptureLimits.interfaces else {
            unknown += 1
            return unknown > 1
        }
        var interface = Interface(
            link: UInt16(block.number16(8) ?? 0),
            lengthMax: block.number32(12) ?? 0
        )
        var rest = block.behind(16)
        while let option = rest, let code = option.number16(0), let count = option.number16(2),
            code != 0, let body = option.behind(4), body.count >= count
        {
            if code == 9, count == 1, let value = body.number8(0) {
                interface.ticks = value & 128 == 0 ? .decimal(value) : .binary(value & 127)
            }
            if code == 14, count == 8, let value = body.number64(0) {
                interface.offset = Int64(bitPattern: value)
            }
            rest = body.behind((count + 3) & ~3)
        }
        interfaces.append(interface)
        return true
    }

    /// The packet of a block; nil when it does not fit into it.
    func packet(_ type: UInt32, _ length: UInt32, _ block: BoundedBytes) -> CaptureStep? {
        guard type != 3 else { return simplePacket(length, block) }
        // The obsolete form has sixteen bits for the interface, and a count of drops behind it.
        let number = type == 2 ? block.number16(8) : block.number32(8).map(Int.init)
        guard let number, let high = block.number32(12), let low = block.number32(16),
            let count = block.number32(20), count <= length - 32
        else { return nil }
        guard number < interfaces.count, count <= CaptureLimits.packetBytes,
            let body = block.behind(28), body.count >= count
        else { return .skipped }
        let interface = interfaces[number]
        return .packet(
            CapturedPacket(
                time: time(UInt64(high) << 32 | UInt64(low), interface),
                link: interface.link,
                bytes: body.slice.prefix(Int(count))
            )
        )
    }

    private func simplePacket(_ length: UInt32, _ block: BoundedBytes) -> CaptureStep? {
        guard let said = block.number32(8), let body = block.behind(12) else { return nil }
        guard let interface = interfaces.first else { return .skipped }
        let most = interface.lengthMax == 0 ? said : min(said, interface.lengthMax)
        guard most <= length - 16 else { return nil }
        guard body.count >= most else { return .skipped }
        return .packet(
            CapturedPacket(
                time: nil,
                link: interface.link,
                bytes: body.slice.prefix(Int(most))
            )
        )
    }

    private func time(_ ticks: UInt64, _ interface: Interface) -> CaptureTime? {
        let (seconds, nanoseconds): (UInt64, UInt64)
        switch interface.ticks {
        case .decimal(let digits):
            // More digits than a number has: less than a second in all.
            guard digits <= 19 else { return nil }
            let second = (0..<digits).reduce(UInt64(1)) { power, _ in power * 10 }
            seconds = ticks / second
            let part = ticks % second
            nanoseconds =
                second <= 1_000_000_000
                ? part * (1_000_000_000 / second) : part / (second / 1_000_000_000)
        case .binary(let digits):
            guard digits <= 63 else { return nil }
            seconds = ticks >> UInt64(digits)
            let second = UInt64(1) << UInt64(digits)
            let part = (ticks & (second - 1)).multipliedFullWidth(by: 1_000_000_000)
            nanoseconds = second.dividingFullWidth(part).quotient
        }
        let (sum, isOver) = Int64(clamping: seconds).addingReportingOverflow(interface.offset)
        guard !isOver else { return nil }
        return CaptureTime(seconds: sum, nanoseconds: Int(nanoseconds))
    }
}
