// What came of a whole capture, counted in bounded memory.

import Sockets

/// What came of all flows of a capture.
public struct CaptureSummary: Codable, Hashable, Sendable {
    /// The shape of this object.
    public var schema = "tlsinspect/1"
    /// The command.
    public var command = "read"
    /// Which of the command's objects this is.
    public var event = "summary"
    /// The file's name; `-` is standard input.
    public var file: String
    /// The form of the file.
    public var format: CaptureFormat
    /// How many bytes of it were read.
    public var bytes = 0
    /// How many packets it has.
    public var packets = 0
    /// How many of them were not looked at, by the reason.
    public var skipped: [PacketSkip: Int] = Dictionary(
        uniqueKeysWithValues: PacketSkip.allCases.map { ($0, 0) }
    )
    /// When the first packet came, in UTC with milliseconds.
    @EncodesNull public var first: String? = nil
    /// When the last packet came.
    @EncodesNull public var last: String? = nil
    /// How many flows of TCP there are.
    public var flows = 0
    /// How many of them have a ClientHello.
    public var tls = 0
    /// How many of those have no servername.
    public var unnamed = 0
    /// How many begin with something else.
    public var notTLS = 0
    /// How many began before the capture, and are not known to be TLS.
    public var middle = 0
    /// How many hellos were answered by a ServerHello.
    public var answered = 0
    /// How many ended with a fatal alert in clear.
    public var refused = 0
    /// How many are not shown, as nobody asked for them.
    public var hidden = 0
    /// Half of the hellos are not larger; to 16 bytes.
    @EncodesNull public var medianBytes: Int? = nil
    /// How many flows are not shown, as there are too many.
    public var unshown = 0
    /// The flows, as many as are kept; those of `jsonl` stand in lines of their own.
    public var shown: [FlowRecord] = []
    /// What is amiss with the file.
    public var findings: [Finding] = []
    /// The exit code.
    public var exit = ExitStatus.clean

    private enum CodingKeys: String, CodingKey {
        case schema, command, event, file, format, bytes, packets, skipped, first, last, flows, tls
        case unnamed
        case notTLS = "not_tls"
        case middle, answered, refused, hidden
        case medianBytes = "median_bytes"
        case unshown, shown, findings, exit
    }

    init(file: String, format: CaptureFormat) {
        self.file = file
        self.format = format
    }
}
