import SocketCore
import Testing

@Suite(.timeLimit(.minutes(1))) struct DescriptorTests {
    @Test("the end of a descriptor's life closes it: the peer reads the end of the stream")
    func closes() throws {
        let (first, second) = try Syscalls.socketPair()
        let kept = Descriptor(owning: second)
        do {
            let dropped = Descriptor(owning: first)
            #expect(dropped.rawValue == first)
            #expect(receive(kept.rawValue).count == -Int(Errno.wouldBlock.rawValue))
        }
        #expect(receive(kept.rawValue).count == 0)
    }

    @Test("taking the number out leaves the descriptor open")
    func take() throws {
        let (first, second) = try Syscalls.socketPair()
        let kept = Descriptor(owning: second)
        let number = Descriptor(owning: first).take()
        #expect(number == first)
        #expect(receive(kept.rawValue).count == -Int(Errno.wouldBlock.rawValue))
        #expect(send(number, [7]) == 1)
        #expect(receive(kept.rawValue).bytes == [7])
        _ = Descriptor(owning: number)
        #expect(receive(kept.rawValue).count == 0)
    }

    @Test("a descriptor is closed once: its number, given away again, stays open")
    func closesOnce() async {
        // In a process of its own, where no other test opens descriptors.
        await #expect(processExitsWith: .success) {
            let (first, second) = try Syscalls.socketPair()
            do {
                let moved = Descriptor(owning: first)
                let owner = consume moved
                _ = consume owner
            }
            let (reused, other) = try Syscalls.socketPair()
            precondition(reused == first, "the kernel gives the lowest free number")
            precondition(send(reused, [1]) == 1)
            precondition(receive(other).bytes == [1])
            precondition(receive(second).count == 0)
        }
    }

    @Test("raising the descriptor limit reaches the hard limit and stays there")
    func limit() {
        let limit = DescriptorLimit.raise()
        #expect(limit >= 256)
        #expect(DescriptorLimit.raise() == limit)
    }
}
