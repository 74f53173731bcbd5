import SocketCore
import Testing

@Suite struct ErrnoTests {
    @Test(
        "an errno knows its C name and libc's sentence",
        arguments: [
            (Errno.connectionRefused, "ECONNREFUSED", "Connection refused"),
            (.wouldBlock, "EAGAIN", "Resource temporarily unavailable"),
            (.tooManyOpenFiles, "EMFILE", "Too many open files"),
            (.notOnNetwork, "ENONET", "Machine is not on the network"),
            (Errno(rawValue: 4095), "errno 4095", "Unknown error 4095"),
        ]
    )
    func text(errno: Errno, name: String, description: String) {
        #expect(errno.name == name)
        #expect(errno.description == description)
    }

    @Test("a system call's error names the call, the sentence and the code")
    func systemCallError() {
        let error = SystemCallError(.connectionRefused, call: "connect")
        #expect(error.description == "connect: Connection refused (ECONNREFUSED)")
        #expect(error != SystemCallError(.connectionRefused, call: "bind"))
    }
}
