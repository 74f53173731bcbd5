/// The one owner of an open file descriptor.
///
/// Not copyable, so no two owners can close the same number, and a number that the kernel gave away
/// again is never closed by a former owner. The end of the value's life closes the descriptor.
package struct Descriptor: ~Copyable, Sendable {
    /// The descriptor's number; valid while this value lives.
    package let rawValue: Int32

    /// Takes over an open descriptor; nobody else may close it from now on.
    package init(owning rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// Gives up ownership: the caller closes the returned number.
    package consuming func take() -> Int32 {
        let number = rawValue
        discard self
        return number
    }

    deinit {
        Syscalls.close(rawValue)
    }
}
