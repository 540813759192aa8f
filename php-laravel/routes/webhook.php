<?php

declare(strict_types=1);

use Illuminate\Support\Facades\Route;
use Snug\Laravel\Http\WebhookController;

Route::name('snug.webhook')
    ->middleware(config('snug.webhook.middleware'))
    ->post(config('snug.webhook.path'), WebhookController::class);
