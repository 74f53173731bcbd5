// GREASE: numbers that mean nothing, which a client puts among those it means, so that servers stay
// used to numbers they do not know (RFC 8701).

/// The reserved numbers of GREASE (RFC 8701 §2).
public enum GREASE {
    /// Whether a version, cipher suite, extension, group or signature algorithm is one of them.
    ///
    /// - Parameter number: The number on the wire.
    /// - Returns: True for `0x0a0a`, `0x1a1a` and so on up to `0xfafa`.
    public static func contains(_ number: UInt16) -> Bool {
        number & 0x0f0f == 0x0a0a && number >> 8 == number & 0xff
    }

    /// Whether a key exchange mode of a preshared key is one of them.
    ///
    /// - Parameter mode: The byte on the wire.
    /// - Returns: True for `0x0b`, `0x2a` and so on up to `0xe4`, in steps of 31.
    public static func contains(mode: UInt8) -> Bool {
        mode >= 0x0b && (mode - 0x0b) % 31 == 0
    }
}
