// What Node.js sees of a request: the target as it came, and the path of the URL that applications make of it.
import { createServer } from 'node:http';

// Bytes of a header are written as Latin-1; this makes them those of UTF-8.
const bytes = (text) => Buffer.from(text, 'utf8').toString('latin1');

// Under the permissive policy `//` begins a host, and no URL comes of it.
const pathOf = (target) => {
  try {
    return decodeURIComponent(new URL(target, 'http://node.test').pathname);
  } catch {
    return '';
  }
};

const server = createServer({ maxHeaderSize: 65536, keepAliveTimeout: 60_000 }, (request, response) => {
  const path = pathOf(request.url);
  const place = path === '/public' || path.startsWith('/public/') ? 'public' : 'other';
  response.writeHead(200, {
    'X-Target': bytes(`[${request.url}]`),
    'X-Path': bytes(`[${path}]`),
    'X-Place': place,
    'X-Identity': request.headers.authorization ? 'yes' : 'no',
  });
  response.end('ok');
});
server.maxRequestsPerSocket = 0;
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ address: `127.0.0.1:${server.address().port}` })));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
