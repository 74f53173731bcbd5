// The server of the bench protocol with SwiftNIO's channel handlers and swift-nio-ssl: what its users
// write, with the options that its documentation gives for servers.
//
// The first byte of a connection says what follows: `E` echo everything after it, `S` discard
// everything, `G` and an 8-byte big-endian count: send that many bytes, then close.

import Glibc
import NIOCore
import NIOPosix
import NIOSSL

let arguments = Arguments(CommandLine.arguments)
let tls = try arguments.tlsContext()
let group = MultiThreadedEventLoopGroup(numberOfThreads: arguments.threads)
let listener = try ServerBootstrap(group: group)
    .serverChannelOption(.backlog, value: 4096)
    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
    .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
    .childChannelOption(.maxMessagesPerRead, value: 16)
    .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
            try pipeline.addHandler(BackPressureHandler())
            try pipeline.addHandler(BenchHandler())
        }
    }
    .bind(host: "127.0.0.1", port: arguments.port)
    .wait()
print("listening on 127.0.0.1:\(listener.localAddress?.port ?? 0)")
fflush(nil)
try listener.closeFuture.wait()

/// `--port P --cert FILE --key FILE [--plain] [--threads N]`, as every server of the benchmarks.
struct Arguments {
    var port = 0
    var threads = 1
    var plain = false
    var chain = ""
    var key = ""

    init(_ line: [String]) {
        var rest = line.dropFirst()
        while let name = rest.popFirst() {
            switch name {
            case "--plain": plain = true
            case "--port": port = rest.popFirst().flatMap { Int($0) } ?? 0
            case "--threads": threads = rest.popFirst().flatMap { Int($0) } ?? 1
            case "--cert": chain = rest.popFirst() ?? ""
            case "--key": key = rest.popFirst() ?? ""
            default: fatalError("unknown argument \(name)")
            }
        }
    }

    func tlsContext() throws -> NIOSSLContext? {
        guard !plain else { return nil }
        let certificates = try NIOSSLCertificate.fromPEMFile(chain)
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: certificates.map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))
        )
        configuration.minimumTLSVersion = .tlsv12
        return try NIOSSLContext(configuration: configuration)
    }
}

final class BenchHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Task {
        case unknown, echoing, discarding, sending
    }

    /// Pieces that are sent in one turn of the loop.
    private static let piecesPerTurn = 16
    private static let piece = ByteBuffer(repeating: UInt8(ascii: "g"), count: 64 << 10)

    private var task = Task.unknown
    private var header = ByteBuffer()
    private var remaining: UInt64?
    private var isSending = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch task {
        case .echoing: context.write(data, promise: nil)
        case .discarding: break
        case .sending: takeCount(unwrapInboundIn(data), context)
        case .unknown: begin(unwrapInboundIn(data), context)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.flush()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if task == .sending, context.channel.isWritable { send(context) }
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func begin(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        var bytes = bytes
        switch bytes.readInteger(as: UInt8.self) {
        case UInt8(ascii: "E"):
            task = .echoing
            if bytes.readableBytes > 0 { context.write(wrapOutboundOut(bytes), promise: nil) }
        case UInt8(ascii: "S"): task = .discarding
        case UInt8(ascii: "G"):
            task = .sending
            takeCount(bytes, context)
        case nil: break
        default: context.close(promise: nil)
        }
    }

    private func takeCount(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        header.writeImmutableBuffer(bytes)
        guard remaining == nil, let count = header.readInteger(as: UInt64.self) else { return }
        remaining = count
        send(context)
    }

    /// Sends while the channel takes more; then the channel tells when it does again.
    private func send(_ context: ChannelHandlerContext) {
        guard !isSending, var left = remaining else { return }
        isSending = true
        defer { isSending = false }
        for _ in 0..<Self.piecesPerTurn where left > 0 && context.channel.isWritable {
            let count = Int(min(left, UInt64(Self.piece.readableBytes)))
            guard let piece = Self.piece.getSlice(at: 0, length: count) else { return }
            left -= UInt64(count)
            remaining = left
            let isLast = left == 0
            let sent = context.writeAndFlush(wrapOutboundOut(piece))
            if isLast {
                task = .discarding
                let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
                sent.whenComplete { _ in bound.value.close(promise: nil) }
            }
        }
        guard left > 0, context.channel.isWritable else { return }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.execute { bound.value.0.send(bound.value.1) }
    }
}
