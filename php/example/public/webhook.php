<?php

// The page that WEBHOOK_URL names: Snug tells it what happens in the room.

declare(strict_types=1);

namespace Example;

use Snug\BadSignature;
use Snug\Webhook;

require_once __DIR__ . '/../lately.php';

try {
    $delivery = (new Webhook(setting('WEBHOOK_SECRET')))
        ->events((string) file_get_contents('php://input'), getallheaders());
} catch (BadSignature $e) {
    error_log($e->getMessage());
    refuse(401);
}
if ($delivery->room === ROOM) {
    remember($delivery);
}
http_response_code(204);
