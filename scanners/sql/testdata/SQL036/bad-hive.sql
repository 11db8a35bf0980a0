SELECT id FROM dim_user;
