/// The number of descriptors this process may open.
package enum DescriptorLimit {
    /// Raises the soft limit to the hard one (RLIMIT_NOFILE).
    ///
    /// - Returns: The limit now in force; the old one if the system refused.
    @discardableResult
    package static func raise() -> Int {
        max(0, Syscalls.raiseDescriptorLimit())
    }
}
