<?php

// WEBHOOK_URL points here. Snug sends the room's events.

declare(strict_types=1);

namespace Example;

use Snug\Webhook;
use Snug\WebhookVerificationException;

require_once __DIR__ . '/../recent-events.php';

try {
    $delivery = (new Webhook(setting('WEBHOOK_SECRET')))
        ->events((string) file_get_contents('php://input'), getallheaders());
} catch (WebhookVerificationException $e) {
    error_log($e->getMessage());
    respond(401);
}
if ($delivery->room === ROOM) {
    storeEvents($delivery);
}
http_response_code(204);
