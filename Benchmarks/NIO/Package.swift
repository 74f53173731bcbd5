// swift-tools-version: 6.3
// The same server on SwiftNIO, for comparison. A package of its own: it takes minutes to build, and
// nothing else needs it.
import PackageDescription

let package = Package(
    name: "swift-sockets-benchmarks-nio",
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
    ],
    targets: [
        .executableTarget(
            name: "nio-bench-server",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ]
        )
    ]
)
