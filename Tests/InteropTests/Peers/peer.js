// TLS by Node. Reads commands from standard input, one a line, and reports in lines of JSON; the
// commands, the reports and their words are described in README.md beside this file.

'use strict';

const crypto = require('crypto');
const fs = require('fs');
const tls = require('tls');

require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const command = Object.fromEntries(line.split('\t').map((field) => {
    const at = field.indexOf('=');
    return [field.slice(0, at), field.slice(at + 1)];
  }));
  const run = command.role === 'server' ? serve : connect;
  run(command).catch((error) => fail(command, error));
}).on('close', () => process.exit(0));

process.stdout.write(JSON.stringify({
  event: 'started', version: `Node ${process.versions.node}, OpenSSL ${process.versions.openssl}`,
}) + '\n');

function report(command, event, facts) {
  process.stdout.write(JSON.stringify({ id: Number(command.id), event, ...facts }) + '\n');
}

function fail(command, error) {
  const text = error.message.includes(error.code) ? error.message : `${error.code}: ${error.message}`;
  report(command, 'failed', { error: text });
}

function options(command) {
  const version = `TLSv${command.version}`;
  const chosen = { minVersion: version, maxVersion: version, allowHalfOpen: true };
  if (command.chain) chosen.cert = fs.readFileSync(command.chain);
  if (command.key) chosen.key = fs.readFileSync(command.key);
  if (command.roots) chosen.ca = fs.readFileSync(command.roots);
  if (command.alpn) chosen.ALPNProtocols = command.alpn.split(',');
  return chosen;
}

// One connection, whose raw socket is kept: ending it ends TCP without a word of TLS.
async function serve(command) {
  const chosen = options(command);
  chosen.requestCert = command.clients !== 'none';
  chosen.rejectUnauthorized = command.clients === 'require';
  const server = tls.createServer(chosen);
  if (command.staple) {
    server.on('OCSPRequest', (certificate, issuer, give) => give(null, fs.readFileSync(command.staple)));
  }
  let raw;
  let due = command.resume ? 2 : 1;
  server.on('connection', (socket) => {
    raw = socket;
    due -= 1;
    if (due === 0) server.close();
  });
  const next = () => new Promise((resolve, reject) => {
    server.once('tlsClientError', reject);
    server.once('secureConnection', resolve);
  });
  const first = next();
  server.listen(0, '127.0.0.1', () => {
    report(command, 'listening', { port: server.address().port });
  });
  let socket = await first;
  if (command.resume) {
    const second = next();
    socket.on('error', () => {});
    socket.end('first');
    socket = await second;
  }
  await act(command, socket, raw);
}

async function connect(command) {
  let session;
  if (command.resume) {
    const first = await open(command);
    session = await first.session;
    first.socket.end();
  }
  const { socket, raw } = await open(command, session);
  await act(command, socket, raw);
}

async function open(command, session) {
  const raw = require('net').connect({
    port: Number(command.port), host: '127.0.0.1', allowHalfOpen: true,
  });
  const chosen = { ...options(command), socket: raw, session };
  if (command.servername) chosen.servername = command.servername;
  if (command.ocsp) chosen.requestOCSP = true;
  chosen.checkServerIdentity = (_, certificate) =>
    tls.checkServerIdentity(command.verify, certificate);
  const socket = tls.connect(chosen);
  socket.on('OCSPResponse', (response) => { socket.staple = response?.toString('base64'); });
  const given = new Promise((resolve) => { socket.once('session', resolve); });
  await new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
    raw.once('error', reject);
  });
  return { socket, raw, session: given };
}

async function act(command, socket, raw) {
  let failure;
  socket.on('error', (error) => { failure ??= error; });
  raw.on('error', (error) => { failure ??= error; });
  report(command, 'ready', {
    version: socket.getProtocol(),
    cipher: socket.getCipher().standardName,
    alpn: socket.alpnProtocol || null,
    servername: socket.servername || null,
    resumed: socket.isSessionReused(),
    exported: command.export
      && socket.exportKeyingMaterial(32, command.export, Buffer.from('context')).toString('hex'),
    client: (command.role === 'server' && socket.getPeerCertificate().subject?.CN) || null,
  });
  const seen = await acts[command.act](command, socket, raw);
  if (failure) throw failure;
  report(command, 'done', { ...seen, staple: socket.staple || null });
}

const acts = {
  async echo(command, socket) {
    const seen = await read(socket, async (chunk) => {
      const size = Number(command.piece) || chunk.length;
      for (let at = 0; at < chunk.length; at += size) {
        await write(socket, chunk.subarray(at, at + size));
      }
    });
    await end(socket);
    return seen;
  },
  async answer(command, socket) {
    const seen = await read(socket);
    await write(socket, seen.sha256);
    await end(socket);
    return seen;
  },
  async greet(command, socket) {
    await write(socket, 'greeting');
    await end(socket);
    return read(socket);
  },
  async cut(command, socket, raw) {
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
      await write(socket, 'hello');
      // Behind everything that was written, and without close_notify.
      socket.destroy();
      raw.destroy();
      return { bytes: chunk.length };
    }
  },
  async request(command, socket) {
    await write(socket, fs.readFileSync(command.send));
    return read(socket);
  },
};

// Reads up to the end, which Node does not tell from a cut.
async function read(socket, use = async () => {}) {
  const digest = crypto.createHash('sha256');
  const head = [];
  let bytes = 0;
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    digest.update(chunk);
    if (bytes < 4096) head.push(chunk);
    bytes += chunk.length;
    await use(chunk);
  }
  const text = Buffer.concat(head).subarray(0, 4096).toString('base64');
  return { bytes, sha256: digest.digest('hex'), head: text, end: 'unknown' };
}

function write(socket, bytes) {
  return new Promise((resolve, reject) => {
    socket.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}

function end(socket) {
  return new Promise((resolve) => { socket.end(resolve); });
}
