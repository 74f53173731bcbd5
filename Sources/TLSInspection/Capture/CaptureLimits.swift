// What a capture may cost, whatever is in it: each buffer of the reader and of the reassembly has its limit
// here, and what does not fit is counted and told.

/// What reading a capture may cost.
public enum CaptureLimits {
    /// The most bytes of a packet; a larger one is no packet (libpcap has the same limit).
    public static let packetBytes = 256 << 10
    /// The most bytes of a block of pcapng (Wireshark has the same limit).
    public static let blockBytes = 16 << 20
    /// The most bytes of an interface's description that are looked at.
    public static let descriptionBytes = 64 << 10
    /// The most interfaces of a section.
    public static let interfaces = 4096
    /// The most VLAN tags around a packet.
    public static let tags = 4
    /// The most extension headers of an IPv6 packet.
    public static let extensionHeaders = 16
    /// How many flows are known at once; beyond it the first that came is forgotten.
    public static let flows = 65_536
    /// The most bytes that all flows together hold; beyond it the first that came is told as it is.
    public static let heldBytes = 64 << 20
    /// The most bytes of records that a hello may take, as for `listen`.
    public static let helloBytes = 64 << 10
    /// The most bytes of a direction that are looked at.
    public static let streamBytes = 320 << 10
    /// How far ahead of what came in order bytes may be.
    public static let aheadBytes = 256 << 10
    /// In how many pieces.
    public static let aheadPieces = 256
    /// The most findings about the file that are told one by one.
    public static let findings = 32
    /// The most characters of a name in a certificate that are told.
    static let nameLength = 256
}
