// The npm package container-image-builder as a command:
//   node reference_driver.js build DIRECTORY BASE DESTINATION     adds one layer to BASE: DIRECTORY as /app
//   node reference_driver.js copy SOURCE DESTINATION
'use strict';
const http = require('http');
const path = require('path');

// The package expects the status 204 for a PATCH. The distribution spec requires 202.
const emit = http.ClientRequest.prototype.emit;
http.ClientRequest.prototype.emit = function (event, response) {
  if (event === 'response' && this.method === 'PATCH' && response.statusCode === 202) {
    response.statusCode = 204;
  }
  return emit.apply(this, arguments);
};

const {Image} = require(path.join(process.cwd(), 'node_modules', 'container-image-builder'));
const [mode, ...names] = process.argv.slice(2);
const directory = mode === 'build' ? names.shift() : null;
const [from, to] = names;
const anonymous = {};
for (const name of names) {
  anonymous[name.split('/')[0]] = {};
}

async function main() {
  const image = new Image(from, to, {auth: anonymous});
  if (directory) {
    await image.addFiles({'/app': directory});
  }
  await image.save([to.split(':').pop()]);
}
main().catch(error => {
  console.error(error);
  process.exit(1);
});
